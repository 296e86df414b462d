"""What one rank does, from its settings to its result."""

import logging
import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from attune.errors import AttuneError, InputError, SettingsError
from attune.models.encoder import load_tokenizer
from attune.models.network import Network
from attune.models.networks import read_network, write_network
from attune.models.quantised import CARD_KEY
from attune.training.communicator import REJOINS, Communicator, ElasticRanks, gather_rows
from attune.training.devices import gpu_index, out_of_memory, reuse_memory
from attune.training.int8 import measure_int8
from attune.training.loop import Loop, Trained, mean_by_quarter
from attune.training.place import place
from attune.training.plan import RankJob, RankResult, num_streams, own_streams
from attune.training.progress import Reporter
from attune.training.reader import Rows, read_shard
from attune.training.task import Calibrated, Task
from attune.training.traces import leave_result, mark_started, rank_number

NETWORK_FOLDER = "network"
STOP_FILE = "stop"
"""In the output folder: its presence ends the training after the epoch under way."""


def run_rank(job: RankJob, comm: Communicator) -> RankResult:
    """Read this rank's rows, train, and have rank 0 write the network to ``job.output``.

    Raises SettingsError where memory does not suffice.
    """
    try:
        return _run_rank(job, comm)
    except (MemoryError, RuntimeError) as error:
        if (explained := out_of_memory(error, job)) is None:
            raise
        raise explained from error


def _run_rank(job: RankJob, comm: Communicator) -> RankResult:
    began = time.monotonic()
    device = _prepare(job, comm)
    task = job.task(job.encoder, **job.task_settings)
    if job.start:
        _take_weights(task, job)
    streams = {name: _read(job, task, name, comm) for name in job.data}
    rows = {name: Rows.concatenate(parts) for name, parts in streams.items()}
    nothing = rows["train"].take(np.empty(0, np.int64))
    own = Reporter(Path(job.output), comm.rank)
    loop = Loop(task, job.loop, comm, device, job.checkpoints, job.identity)
    told = f"{'bfloat16' if loop.bfloat16 else 'float32'} on {device}"
    if comm.size > 1:
        own(f"process {os.getpid()} on {socket.gethostname()}, one of {comm.size} ranks, {told}")
    # All ranks go through the same steps: one of them tells of these.
    say = own if comm.rank == 0 else _say_nothing
    say(f"{describe_rows(rows, comm)}; {told}")
    ready = time.monotonic()
    stop = Path(job.output) / STOP_FILE
    trained = loop.fit(streams["train"], rows.get("valid", nothing), say, stop.exists)
    if isinstance(task, Calibrated) and "valid" in rows:
        task.calibrate(*loop.gather(rows["valid"]))
    metrics = _figures(trained, ready - began)
    if "test" in rows:
        outputs, values = loop.gather(rows["test"])
        metrics["test"] = task.metrics(outputs, values)
        metrics["test_by"] = {
            column: _by_slice(task, outputs, values, column, names) for column, names in job.slices.items()
        }
        if job.rival and (before := _measure_rival(job.rival, job.encoder, task, loop, rows["test"])):
            metrics["in_use"] = before
    if comm.rank == 0:
        folder = Path(job.output) / NETWORK_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = load_tokenizer(job.encoder) if job.encoder else None
        write_network(task.network, tokenizer, job.max_tokens, folder)
        if (int8 := measure_int8(task, rows.get("valid", nothing), folder)) is not None:
            metrics[CARD_KEY] = int8
    counts = {name: len(shard) for name, shard in rows.items()}
    return RankResult(comm.rank, counts, metrics, place())


def run_launched_rank(
    job: RankJob, ranks: Callable[[], Communicator], passed_on: tuple[type[Exception], ...] = ()
) -> RankResult:
    """``run_rank`` in a process that a launcher started; an error, but for those to pass on, becomes part of the result.

    Leaving the group on an error lets the other ranks fail at once instead of waiting. The result is left in the
    scratch folder, too: of a rank that has none there, the driver knows that it died.
    """
    number = rank_number()
    mark_started(job, number)
    comm = None
    try:
        comm = ranks()
        number = comm.rank
        result = run_rank(job, comm)
    except passed_on:
        raise
    except Exception as error:  # noqa: BLE001 - raised again on the driver
        Reporter(Path(job.output), number).error(f"{type(error).__name__}: {error}")
        result = RankResult(number, error=_plain(error), traceback=traceback.format_exc())
    leave_result(job, result)
    if comm is not None:
        comm.close()
    return result


def run_elastic_rank(job: RankJob) -> RankResult | None:
    """``run_launched_rank`` in a group that others leave and join; None where they did.

    The training then goes on from its last checkpoint, with whatever ranks there are, in a fresh process.
    """
    from horovod.common.exceptions import HorovodInternalError, HostsUpdatedInterrupt

    try:
        return run_launched_rank(job, ElasticRanks, (HorovodInternalError, HostsUpdatedInterrupt))
    except (HorovodInternalError, HostsUpdatedInterrupt):
        os.environ[REJOINS] = "1"
        return None


def _take_weights(task: Task, job: RankJob) -> None:
    """Start from a stored model. Raises SettingsError where it is another network."""
    assert job.start is not None
    stored = read_network(job.start)
    if not _alike(stored, job.start, task.network, job.encoder):
        raise SettingsError(
            f"{job.settings_key}.start_from is latest, but the model in use ({job.start}) is another network, or has other "
            "labels or another vocabulary: set start_from=encoder"
        )
    task.network.load_state_dict(stored.state_dict())


def _measure_rival(folder: str, encoder: str, task: Task, loop: Loop, rows: Rows) -> dict[str, float] | None:
    """Metrics of a stored model on the same rows; None where it answers another question."""
    stored = read_network(folder)
    if not _alike(stored, folder, task.network, encoder):
        return None
    own = task.network.state_dict()
    kept = {name: value.clone() for name, value in own.items()}
    task.network.load_state_dict(stored.state_dict())
    found = loop.evaluate(rows)
    task.network.load_state_dict(kept)
    return found


def _alike(stored: Network, folder: str, network: Network, encoder: str) -> bool:
    """Whether a stored network has the parts, labels and vocabulary of another, so that both understand the same rows."""
    if load_tokenizer(folder).to_str() != load_tokenizer(encoder).to_str():
        return False
    shapes = [{name: value.shape for name, value in one.state_dict().items()} for one in (stored, network)]
    return stored.kind == network.kind and stored.description() == network.description() and shapes[0] == shapes[1]


def _prepare(job: RankJob, comm: Communicator) -> torch.device:
    """Threads, seed and device of this rank."""
    logging.getLogger("petastorm").setLevel(logging.ERROR)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.manual_seed(job.loop.seed)
    if torch.cuda.is_available():
        device = torch.device("cuda", gpu_index(comm, torch.cuda.device_count()))
        torch.cuda.set_device(device)
        return device
    reuse_memory()
    torch.set_num_threads(job.threads or max(1, len(os.sched_getaffinity(0)) // comm.local_size))
    return torch.device("cpu")


def _read(job: RankJob, task: Task, split: str, comm: Communicator) -> list[Rows]:
    """Rows of each of this rank's streams, see ``plan.own_streams``."""
    extra = job.slices if split == "test" else ()
    values = tuple(dict.fromkeys((*task.value_columns, *extra)))
    total = num_streams(job.loop, comm.size)
    streams = [
        read_shard(job.data[split], number, total, task.token_columns, values, job.reader)
        for number in own_streams(job.loop, comm.rank, comm.size)
    ]
    check_total(split, streams, job.written[split], comm)
    return streams


def check_total(split: str, streams: Sequence[Rows], written: tuple[int, int], comm: Communicator) -> None:
    """Raise InputError on all ranks unless their rows together are the rows and tokens that were written."""
    by_rank = gather_rows(comm, np.array([[sum(map(len, streams)), sum(rows.num_tokens for rows in streams)]]))
    rows, tokens = by_rank.sum(0).tolist()
    if (rows, tokens) != written:
        raise InputError(
            f"the ranks read {rows:,} {split} rows of {tokens:,} tokens, {by_rank[:, 0].tolist()} by rank, but "
            f"{written[0]:,} of {written[1]:,} were written: set workspace to a folder that all machines share, and "
            "leave it alone while training runs"
        )


def _by_slice(
    task: Task, outputs: np.ndarray, values: Mapping[str, np.ndarray], column: str, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Metrics of the rows of each number of a column, by its name; of numbers without rows none."""
    found = {}
    for number, name in enumerate(names):
        chosen = values[column] == number
        if chosen.any():
            found[name] = task.metrics(outputs[chosen], {key: of_rows[chosen] for key, of_rows in values.items()})
    return found


def _figures(trained: Trained, seconds_to_start: float) -> dict[str, object]:
    return {
        "valid": trained.metrics,
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch,
        "num_steps": len(trained.losses),
        "resumed_at_step": trained.resumed_at,
        "num_parameters": trained.num_parameters,
        "num_trained_parameters": trained.num_trained,
        "loss_by_quarter": mean_by_quarter(trained.losses),
        "precision": "bfloat16" if trained.bfloat16 else "float32",
        "seconds_training": round(trained.seconds, 1),
        "seconds_to_start": round(seconds_to_start, 1),
    }


def _plain(error: Exception) -> Exception:
    """The error if it can travel to the driver, else its words."""
    return error if isinstance(error, AttuneError) else RuntimeError(f"{type(error).__name__}: {error}")


def describe_rows(rows: Mapping[str, Rows], comm: Communicator) -> str:
    """Rows of each split on each rank, and which ranks have none to train on."""
    by_rank = gather_rows(comm, np.array([[len(shard) for shard in rows.values()]])).T.tolist()
    told = ", ".join(f"{sum(counts):,} {name} rows" for name, counts in zip(rows, by_rank, strict=True))
    train = dict(zip(rows, by_rank, strict=True))["train"]
    told += f" ({', '.join(f'{count:,}' for count in train)} to train on by rank)" if comm.size > 1 else ""
    none = [rank for rank, count in enumerate(train) if count == 0]
    return told + (f"; ranks without any, which take part with empty batches: {none}" if none else "")


def _say_nothing(line: str) -> None:
    """Ranks other than the first keep quiet."""
