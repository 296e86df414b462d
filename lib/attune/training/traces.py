"""What each rank leaves in the scratch folder, for the driver to know who died: that it started, and its result.

The folder is made by the driver and goes with the rest of the scratch. Where the ranks' machines do not share it they
leave nothing; the launchers of Horovod return results by other ways, too.
"""

import os
import pickle
from pathlib import Path

from attune.training.plan import RankJob, RankResult


def traces_folder(job: RankJob) -> Path:
    """Where ranks leave their traces."""
    return Path(job.output).parent / "ranks"


def rank_number() -> int:
    """Number of this rank as its launcher has set it, known before the ranks have met."""
    return int(os.environ.get("HOROVOD_RANK") or os.environ.get("RANK") or 0)


def mark_started(job: RankJob, rank: int) -> None:
    """Say that a rank runs."""
    _leave(job, f"{rank}.started", str(os.getpid()).encode())


def leave_result(job: RankJob, result: RankResult) -> None:
    """Keep the result of this rank."""
    _leave(job, f"{result.rank}.result", pickle.dumps(result))


def started(job: RankJob) -> set[int]:
    """Ranks that have started."""
    return {int(file.stem) for file in traces_folder(job).glob("*.started")}


def results_left(job: RankJob) -> list[RankResult]:
    """Results that ranks left, in rank order."""
    files = sorted(traces_folder(job).glob("*.result"), key=lambda file: int(file.stem))
    return [pickle.loads(file.read_bytes()) for file in files]


def _leave(job: RankJob, name: str, content: bytes) -> None:
    folder = traces_folder(job)
    if folder.is_dir():
        hidden = folder / f".{name}"
        hidden.write_bytes(content)
        os.replace(hidden, folder / name)
