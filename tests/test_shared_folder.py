"""A node that does not see the workspace is named."""

import socket
from pathlib import Path

from attune.shared_folder import hosts_without


def test_a_node_that_sees_the_folder_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "marker").touch()
    assert list(hosts_without(str(tmp_path / "marker"), iter([]))) == []


def test_a_node_without_the_folder_is_named(tmp_path: Path) -> None:
    (told,) = hosts_without(str(tmp_path / "elsewhere" / "marker"), iter([]))
    assert told["host"].to_list() == [socket.gethostname()]
