"""A disk that is full at each write of the clean job: the job ends soon, says where, and readers keep whole tables."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import measured
import pytest

from attune.run import Run, job
from faults.clean_process import ROOT, CleanProcess, Shop, summary
from faults.contents import Content, contents, digests, unlisted
from faults.small_disk import Disk, mounted

SEED = 2
"""Of the log that is cleaned."""
SHARES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
"""Room that a run has, as a share of what it takes at most."""
MOST_SECONDS = 30
"""Within which a job ends once its disk is full."""


@dataclass
class Whole:
    """What undisturbed runs leave and take, and what the tests find."""

    shop: Shop
    old: dict[str, Content]
    new: dict[str, str]
    need_bytes: int
    found: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Undisturbed runs; results are kept where all tests of this module have been made."""
    shop = Shop.make(tmp_path_factory.mktemp("disk_full"))
    old = shop.start("old", shop.folder / "old_tables")
    assert old.wait() == 0, old.told()
    with mounted(shop.folder / "undisturbed") as disk:
        shop.copy("old_tables", "undisturbed")
        before, old_contents = disk.free_bytes(), contents(disk.folder)
        with disk.watched():
            new = shop.start("new", disk.folder)
            assert new.wait() == 0, new.told()
        found = Whole(shop, old_contents, digests(disk.folder), before - disk.least_free_bytes)
    print(f"seed {SEED}; a run takes {found.need_bytes:,} bytes")
    yield found
    if len(found.found) == len(SHARES) + len(EVENTS) + 1:
        figures = {"need_bytes": found.need_bytes, "most_seconds_allowed": MOST_SECONDS, "runs": found.found}
        measured.save("faults_disk_full", SEED, figures, ("pyspark", "pyarrow", "deltalake"))


def staging(workspace: Path) -> Callable[[], bool]:
    """Whether a run has begun to stage rows."""
    return lambda: any((workspace / "tables").glob("_staging-*"))


def logged(workspace: Path, words: str) -> Callable[[], bool]:
    """Whether the log of a run has a line with some words."""
    return lambda: any(words in file.read_text() for file in workspace.glob("runs/*/log.jsonl"))


def judge(whole: Whole, label: str, disk: Disk, run: CleanProcess, folder: Path) -> None:
    """The end of a run for want of room: soon, with its status, one line that names the folder, and whole tables."""
    status = run.wait()
    assert disk.full_at is not None, run.told()
    seconds = round(time.monotonic() - disk.full_at, 1)
    told = run.told()
    workspace = run.workspace
    left = contents(workspace)
    new_tables = [name for name, found in left.items() if found.version > whole.old[name].version]
    whole.found.append({"full": label, "status": status, "seconds_since_full": seconds, "new_tables": new_tables})
    print(whole.found[-1])
    # Spark tells of tasks that fail in its own words, and tries them again; ours is one line.
    own = [line for line in told.splitlines() if line.startswith("{")]
    lines = [line for line in own if f"no space left on {folder} (" in line]
    assert len(lines) == 1, told
    assert "to a folder on a larger disk" in lines[0]
    assert status == 4
    assert not any("Traceback" in line for line in own)
    assert seconds <= MOST_SECONDS
    for name, found in left.items():
        assert found.digest == (whole.new[name] if name in new_tables else whole.old[name].digest), name
        assert unlisted(workspace / "tables" / name) == set()
    # What was staged takes no room any more.
    assert [file for file in (workspace / "tables").glob("_staging-*/**/*") if file.is_file()] == []


@pytest.mark.parametrize("share", SHARES)
def test_a_run_with_too_little_room_leaves_the_old_tables(whole: Whole, share: float) -> None:
    workspace = whole.shop.folder / f"share{share}"
    with mounted(workspace) as disk:
        whole.shop.copy("old_tables", workspace.name)
        disk.fill(leave_bytes=int(share * whole.need_bytes))
        with disk.watched(begun=staging(workspace)):
            # One of the runs goes through Spark's own command, which must hand the exit status on.
            command = {"command": [str(ROOT / "spark-submit.sh")]} if share == SHARES[2] else {}
            run = whole.shop.start("new", workspace, **command)
            judge(whole, f"room for {share:.0%}", disk, run, workspace)
        assert whole.found[-1]["new_tables"] == []


EVENTS = ("checked events", "published quality_results", "published events")


@pytest.mark.parametrize("event", EVENTS)
def test_a_disk_that_fills_up_while_tables_are_published(whole: Whole, event: str) -> None:
    """Each table is the old or the new one; once there is room the next run makes them all new.

    Where the publish is quicker than the disk fills up, it is the summary that fails, and the run with it.
    """
    workspace = whole.shop.folder / event.replace(" ", "_")
    with mounted(workspace) as disk:
        whole.shop.copy("old_tables", workspace.name)
        # Little is left to fill then: a table is published in some milliseconds.
        disk.fill(leave_bytes=2 * whole.need_bytes)
        reached = logged(workspace, event)
        with disk.watched(begun=reached, fill_once=reached):
            judge(whole, f"after '{event}'", disk, whole.shop.start("new", workspace), workspace)
        disk.empty()
        again = whole.shop.start("new", workspace)
        assert again.wait() == 0, again.told()
        after = digests(workspace)
        assert {name for name in after if after[name] != whole.new[name]} <= {"quality_results"}


def test_a_full_disk_of_shuffles_is_told_as_such(whole: Whole) -> None:
    workspace = whole.shop.copy("old_tables", "shuffles")
    local_dir = whole.shop.folder / "local_dir"
    with mounted(local_dir) as disk:
        disk.fill(leave_bytes=4096)
        with disk.watched(begun=lambda: any(local_dir.glob("blockmgr-*"))):
            run = whole.shop.start("new", workspace, local_dir=local_dir)
            judge(whole, "SPARK_LOCAL_DIRS", disk, run, local_dir)
        assert "SPARK_LOCAL_DIRS" in run.told()
        assert summary(workspace)["exit_status"] == 4


@job()
def fill(run: Run) -> None:
    """Leave no room for the summary."""
    Disk(run.workspace, 1).fill()
    for _ in range(200):
        run.log("a line that the disk does not take")


@job()
def stumble(run: Run) -> None:
    """Fail for another reason where there is no room for the traceback."""
    Disk(run.workspace, 1).fill()
    raise RuntimeError("a bug")


def test_a_summary_that_cannot_be_written_fails_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A scheduler must not take a run for done that left no account of itself."""
    with mounted(tmp_path / "disk", size_mib=1) as disk:
        assert fill.main(["--set", f"workspace={disk.folder}", "--as-of", "2020-01-01"]) == 4
        assert stumble.main(["--set", f"workspace={disk.folder}", "--as-of", "2020-01-01"]) == 1
        out, told = capfd.readouterr()
        assert "Logging error" not in told
        assert "Traceback" not in told
        messages = [json.loads(line)["message"] for line in told.splitlines()]
        assert sum(f"no space left on {disk.folder} (0.0 MiB free now)" in message for message in messages) == 1
        assert "stumble: RuntimeError: a bug" in messages
        assert out == ""
        assert list(disk.folder.glob("runs/*/summary*")) == []


def test_a_run_that_cannot_make_its_folder_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mounted(tmp_path / "disk", size_mib=1, options=",nr_inodes=2") as disk:
        assert fill.main(["--set", f"workspace={disk.folder}", "--as-of", "2020-01-01"]) == 4
        assert capsys.readouterr().err.startswith(f"attune fill: error: no space left on {disk.folder} (")
