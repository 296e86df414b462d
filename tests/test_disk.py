"""A full disk is told by name, whoever ran into it; other errors are left alone."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from attune.disk import explain_full_disk, is_full_disk
from attune.inputs import explain_spark_error

MIB = 2**20
JVM = "An error occurred while calling o1.parquet.\n: org.apache.spark.SparkException: Job aborted due to stage failure: {}"
FULL = "Lost task 0.3 in stage 1.0 (TID 4) ({} executor {}): java.io.IOException: No space left on device"


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, list[str]]]:
    """Folders ``workspace`` and ``local`` with so many MiB free."""

    def with_room(**mib: int) -> dict[str, list[str]]:
        folders = {name: [str(tmp_path / name)] for name in mib}
        for (folder,) in folders.values():
            Path(folder).mkdir()
        usage = {Path(folder): SimpleNamespace(free=mib[name] * MIB) for name, (folder,) in folders.items()}
        monkeypatch.setattr(shutil, "disk_usage", usage.__getitem__)
        return folders

    return with_room


def raised(error: Exception, while_handling: Exception) -> Exception:
    error.__context__ = while_handling
    return error


def test_the_disk_with_the_least_room_is_told_with_its_setting(room: Callable[..., dict[str, list[str]]]) -> None:
    folders = room(workspace=7000, local=2)
    error = explain_full_disk(Exception(JVM.format(FULL.format("127.0.0.1", "driver"))), folders)
    assert str(error).startswith(
        f"no space left on {folders['local'][0]} (2.0 MiB free now): free space there, or set local"
    )
    assert error is not None
    assert error.exit_status == 4


def test_a_path_in_the_error_counts_where_a_failed_run_has_made_much_room_again(
    room: Callable[..., dict[str, list[str]]],
) -> None:
    folders = room(workspace=7000, local=6000)
    error = OSError(errno.ENOSPC, "No space left on device", f"{folders['workspace'][0]}/tables/events/part.parquet")
    assert f"no space left on {folders['workspace'][0]} (" in str(explain_full_disk(error, folders))
    assert f"no space left on {folders['local'][0]} (" in str(explain_full_disk(OSError(errno.ENOSPC, "?"), folders))


def test_the_disk_of_another_machine_is_not_looked_for_on_this_one(room: Callable[..., dict[str, list[str]]]) -> None:
    error = explain_full_disk(Exception(JVM.format(FULL.format("10.0.0.5", "3"))), room(workspace=7000, local=6000))
    assert str(error) == "no space left on a disk of 10.0.0.5: free space there, or set workspace or local"


def test_a_full_disk_is_found_behind_the_error_that_it_led_to() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert is_full_disk(raised(RuntimeError("not closed"), full))
    assert is_full_disk(RuntimeError("Generic LocalFileSystem error: No space left on device (os error 28)"))
    assert not is_full_disk(raised(RuntimeError("not closed"), OSError(errno.EACCES, "Permission denied")))
    assert explain_full_disk(RuntimeError("a bug"), {"workspace": ["/"]}) is None


def test_a_full_disk_is_no_damaged_input() -> None:
    text = "Encountered error while reading file:/raw/1.gz: corrupt gzip, crc; java.io.IOException: No space left on device"
    assert explain_spark_error(Exception(text)) is None
