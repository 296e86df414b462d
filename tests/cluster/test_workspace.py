"""A workspace that the nodes do not share is refused before anything is written to their own disks."""

import os
import shutil
import subprocess

import pytest

from cluster.shop import Shop, arguments
from cluster.standalone import Cluster

HIDING = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"')
"""Run a command that sees another folder than everybody else: an empty disk of its own."""


def can_hide(folder: str) -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run([*HIDING, folder, "true"], capture_output=True, check=False).returncode == 0


def test_a_folder_that_only_the_driver_sees_is_refused(
    cluster: Cluster, shop: Shop, settings: dict[str, object], node_python: str
) -> None:
    folder = cluster.folder / "of_the_driver"
    folder.mkdir()
    if not can_hide(str(folder)):
        pytest.skip("hiding a folder from other processes needs root and unshare")
    own = {"workspace": folder, "inputs.root": shop.workspace / "raw"}
    job = cluster.submit("clean", *arguments(settings | own), python=node_python, within=(*HIDING, str(folder)))
    assert job.wait() == 2, job.told()
    assert "do not see this folder of the driver's" in job.told()
    assert "set workspace to one that all nodes share" in job.told()
