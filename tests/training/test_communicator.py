"""Groups of ranks keep one contract, and several ranks at the same global batch learn exactly what one rank learns."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attune.training.classification import Classification
from attune.training.communicator import Communicator, SingleProcess, choose_numbers, take_new_number
from attune.training.gradients import sum_gradients
from attune.training.loop import Loop
from attune.training.matching import Matching
from attune.training.plan import LoopSettings, own_streams
from attune.training.task import Task, take_batch
from models.tiny_bert import write_tiny_bert
from training.contract import fulfil
from training.examples import match_rows, review_rows


class Threads:
    """Ranks that are threads of one process: the oracle for what a group of ranks does."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size, timeout=60)
        self._slots: list[Any] = [None] * size

    def all(self, rank: int, value: Any) -> list[Any]:
        """Values of all ranks."""
        self._slots[rank] = value
        self._barrier.wait()
        values = list(self._slots)
        self._barrier.wait()
        return values


class ThreadRank:
    """One rank of a group of threads."""

    def __init__(self, rank: int, threads: Threads) -> None:
        self.rank = self.local_rank = rank
        self.size = self.local_size = threads.size
        self._threads = threads

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        for tensor in tensors:
            total = torch.stack([t.clone() for t in self._threads.all(self.rank, tensor)]).sum(0)
            self._threads.all(self.rank, None)
            tensor.copy_(total)

    def broadcast_(self, tensors: Sequence[torch.Tensor]) -> None:
        for tensor in tensors:
            first = self._threads.all(self.rank, tensor)[0].clone()
            self._threads.all(self.rank, None)
            tensor.copy_(first)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.cat(self._threads.all(self.rank, rows))

    def regroup(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """Nothing to leave."""


def run_threads(size: int, work: Callable[[Communicator], Any]) -> list[Any]:
    """What each of several ranks returns."""
    threads, results = Threads(size), [None] * size

    def one(rank: int) -> None:
        results[rank] = work(ThreadRank(rank, threads))

    workers = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


SETTINGS = LoopSettings(
    epochs=1, tokens_per_batch=512, learning_rate=1e-3, head_learning_rate=1e-2, warmup_share=0.1, weight_decay=0.01,
    max_grad_norm=1.0, frozen_layers=0, precision="float32", seed=3,
)  # fmt: skip


@pytest.mark.parametrize("task_name", ["classification", "matching"])
def test_one_rank_and_three_learn_the_same(tmp_path: Path, task_name: str) -> None:
    encoder = write_tiny_bert(tmp_path)
    rows = review_rows(60) if task_name == "classification" else match_rows(60)
    batches = np.array_split(np.arange(60), 5)

    def make() -> Task:
        torch.manual_seed(0)
        if task_name == "classification":
            return Classification(encoder, ["negative", "positive"], dropout=0.0, label_smoothing=0.1)
        return Matching(encoder, temperature=0.1, dropout=0.0)

    tasks = {1: [make()], 3: [make() for _ in range(3)]}

    def work(comm: Communicator) -> list[float]:
        loop = Loop(tasks[comm.size][comm.rank], SETTINGS, comm, torch.device("cpu"))
        losses = []
        for batch in batches:
            # Unequal parts, and none at all for the last rank of three.
            cuts = [0, 4, len(batch), len(batch)] if comm.size == 3 else [0, len(batch)]
            mine = batch[cuts[comm.rank] : cuts[comm.rank + 1]]
            losses.append(loop.step([take_batch(rows, mine, loop.task.network.pad_id, loop.device)])[0])
        return losses

    alone = work(SingleProcess())
    together = run_threads(3, work)
    assert alone[-1] < alone[0]
    for losses in together:
        np.testing.assert_allclose(losses, alone, rtol=0, atol=1e-5)
    for name, value in tasks[1][0].network.state_dict().items():
        torch.testing.assert_close(tasks[3][1].network.state_dict()[name], value, rtol=0, atol=1e-4)


@pytest.mark.parametrize("task_name", ["classification", "matching"])
def test_two_ranks_go_through_the_streams_of_three(tmp_path: Path, task_name: str) -> None:
    """What is left of a group that lost a rank: one of the two has a part more. A loss that asks all ranks must not hang."""
    encoder, settings = write_tiny_bert(tmp_path), replace(SETTINGS, ranks=3, tokens_per_batch=192)
    streams = [review_rows(30, n) if task_name == "classification" else match_rows(30, n) for n in range(3)]

    def make() -> Task:
        torch.manual_seed(0)
        if task_name == "classification":
            return Classification(encoder, ["negative", "positive"], dropout=0.0, label_smoothing=0.1)
        return Matching(encoder, temperature=0.1, dropout=0.0)

    def losses_of(size: int) -> list[float]:
        tasks = [make() for _ in range(size)]

        def work(comm: Communicator) -> list[float]:
            loop = Loop(tasks[comm.rank], settings, comm, torch.device("cpu"))
            own = [streams[n] for n in own_streams(settings, comm.rank, comm.size)]
            return loop.fit(own, streams[0].take(np.arange(comm.rank, 12, comm.size))).losses

        found = run_threads(size, work)
        assert all(one == found[0] for one in found)
        return list(found[0])

    three, two = losses_of(3), losses_of(2)
    assert len(three) == len(two) > 3
    assert np.isfinite(two).all()
    if task_name == "classification":  # in matching those that learn at once are each other's negatives
        np.testing.assert_allclose(two, three, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_one_process_keeps_the_contract(size: int) -> None:
    work = run_threads(size, fulfil) if size > 1 else [fulfil(SingleProcess())]
    assert work == [f"rank {rank} of {size} keeps the contract" for rank in range(size)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["torch", "horovod"])
def test_two_processes_keep_the_contract(kind: str) -> None:
    """What threads share by accident, processes do not: a wrong sum or a row too few would only show in the model."""
    tests = Path(__file__).parents[1]
    start = {
        "torch": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"],
        "horovod": [str(Path(sys.executable).with_name("horovodrun")), "--gloo", "-np", "2", "--network-interfaces", "lo",
                    "--disable-cache", sys.executable],
    }[kind]  # fmt: skip
    paths = os.pathsep.join([str(tests.parent / "lib"), str(tests)])
    done = subprocess.run(
        [*start, str(tests / "training" / "contract.py"), kind], env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in range(2):
        assert f"rank {rank} of 2 keeps the contract" in done.stdout


@pytest.mark.parametrize("few", [True, False])
def test_only_touched_rows_of_a_table_travel_and_the_sums_are_the_same(few: bool) -> None:
    rng = np.random.default_rng(3)
    plain = [[torch.zeros(40, 3), torch.from_numpy(rng.normal(size=(5,)))] for _ in range(3)]
    for rank, (table, _) in enumerate(plain):
        rows = [rank, 7] if few else range(rank, 40, 2)
        table[list(rows)] = torch.from_numpy(rng.normal(size=(len(rows), 3))).float()
    expected = [torch.stack(parts).sum(0) for parts in zip(*plain, strict=True)]
    sizes: list[int] = []

    def work(comm: Any) -> list[torch.Tensor]:
        whole = comm.sum_
        comm.sum_ = lambda tensors: (sizes.append(sum(t.numel() for t in tensors)), whole(tensors))
        mine = [tensor.clone() for tensor in plain[comm.rank]]
        sum_gradients(comm, mine, [True, False])
        return mine

    for found in run_threads(3, work):
        for tensor, total in zip(found, expected, strict=True):
            torch.testing.assert_close(tensor, total)
    assert set(sizes) == {(4 if few else 40) * 3 + 5}


def test_horovod_takes_no_number_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """horovod.run tells its ranks a cycle time of "(None,)", which Horovod reads as 0: its threads then never sleep."""
    given = {"HOROVOD_CYCLE_TIME": "(None,)", "HOROVOD_CACHE_CAPACITY": "(None,)"}
    assert choose_numbers(given) == {"HOROVOD_CYCLE_TIME": "10"}
    assert choose_numbers({"HOROVOD_CYCLE_TIME": "2.5", "HOROVOD_CACHE_CAPACITY": "0"}) == {
        "HOROVOD_CYCLE_TIME": "2.5", "HOROVOD_CACHE_CAPACITY": "0",
    }  # fmt: skip
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert choose_numbers(given) == {}, "between GPUs the time of Horovod's own choice counts"


@pytest.mark.parametrize("answer", ["0, 1, 0, 1, 0, 1", "-1,-1,-1,-1,-1,-1"])
def test_a_rank_whose_partner_was_lost_asks_for_its_new_number(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Driver(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing to say."""

    with HTTPServer(("127.0.0.1", 0), Driver) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        told = {"GLOO_RENDEZVOUS_ADDR": "127.0.0.1", "GLOO_RENDEZVOUS_PORT": str(server.server_port), "HOSTNAME": "h",
                "RANK": "1", "SIZE": "2", "LOCAL_RANK": "0", "LOCAL_SIZE": "1", "CROSS_RANK": "1", "CROSS_SIZE": "2"}  # fmt: skip
        for name, value in told.items():
            monkeypatch.setenv(f"HOROVOD_{name}", value)
        if answer.startswith("-1"):
            with pytest.raises(RuntimeError, match="no more use"):
                take_new_number()
        else:
            take_new_number()
            assert (os.environ["HOROVOD_RANK"], os.environ["HOROVOD_SIZE"]) == ("0", "1")
    assert asked == ["/rank_and_size/h:0"]
