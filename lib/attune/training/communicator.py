"""What the training loop asks of the ranks it runs on, and who can give it."""

import datetime as dt
import os
import socket
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol
from urllib.request import urlopen

import numpy as np
import torch

STALL_SHUTDOWN_SECONDS = 300
"""A rank that waits so long for another is stopped: a collective operation that not all ranks reach never ends."""

_BUCKET_BYTES = 32 << 20
_HOROVOD_NUMBERS = ("HOROVOD_CYCLE_TIME", "HOROVOD_CACHE_CAPACITY")
_CPU_CYCLE_MILLISECONDS = 10
"""How often Horovod's threads look for work: a round of messages each time, on the cores that compute."""
_POLL_SECONDS = 0.0005
REJOINS = "ATTUNE_REJOINS"
"""Variable that is set in a process which takes the place of one that lost a partner."""


class Communicator(Protocol):
    """A group of ranks. Every method but ``rank`` and ``size`` must be called by all ranks, in the same order."""

    @property
    def rank(self) -> int:
        """Number of this rank, from 0."""

    @property
    def size(self) -> int:
        """Number of ranks."""

    @property
    def local_rank(self) -> int:
        """Number of this rank among those on its machine, from 0: which GPU it takes."""

    @property
    def local_size(self) -> int:
        """Number of ranks on this machine, which share its cores."""

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by their sums over the ranks. Shapes are equal on all ranks."""

    def broadcast_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by those of rank 0."""

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows of all ranks, in rank order. All but the first dimension are equal; a rank may have no rows."""

    def regroup(self) -> None:
        """A checkpoint was kept: a good time for ranks that wait to join, which ends the training under way by an error."""

    def close(self) -> None:
        """Leave the group; ranks that still wait for this one fail instead of waiting for ever."""


class SingleProcess:
    """One rank on its own."""

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Nothing to add."""

    def broadcast_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Nothing to replace."""

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows themselves."""
        return rows

    def regroup(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """Nothing to leave."""


class HorovodRanks:
    """Ranks started by Horovod."""

    def __init__(self) -> None:
        chosen = choose_numbers(os.environ)
        for name in _HOROVOD_NUMBERS:
            os.environ.pop(name, None)
        os.environ.update(chosen)
        os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", str(STALL_SHUTDOWN_SECONDS))
        import horovod.torch as hvd

        hvd.init()
        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self.local_rank: int = hvd.local_rank()
        self.local_size: int = hvd.local_size()

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by their sums over the ranks."""
        whole = [tensor.contiguous() for tensor in tensors]
        self._wait(self._hvd.grouped_allreduce_async_(whole, name=f"sum.{len(whole)}", op=self._hvd.Sum))
        _copy_back(tensors, whole)

    def broadcast_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by those of rank 0."""
        whole = [tensor.contiguous() for tensor in tensors]  # the tensor itself, but for one that lies transposed
        for handle in [self._hvd.broadcast_async_(tensor, 0, name=f"from_first.{n}") for n, tensor in enumerate(whole)]:
            self._wait(handle)
        _copy_back(tensors, whole)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows of all ranks, in rank order."""
        gathered: torch.Tensor = self._wait(self._hvd.allgather_async(rows.contiguous(), name="gather"))
        return gathered

    def _wait(self, handle: int) -> Any:
        """What an operation gives, once it is done. Horovod's own wait spins on a core that other ranks need."""
        while not self._hvd.poll(handle):
            time.sleep(_POLL_SECONDS)
        return self._hvd.synchronize(handle)

    def regroup(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """Leave the group."""
        self._hvd.shutdown()


class ElasticRanks(HorovodRanks):
    """Ranks that Horovod started in a group that others leave and join.

    Horovod 0.28.1 cannot start a second time in a process that lost a partner (a segmentation fault), so a rank goes on in
    a fresh process, which asks the driver for its new number as Horovod itself would.
    """

    def __init__(self) -> None:
        from horovod.common.elastic import ObjectState, notification_manager

        if os.environ.get(REJOINS):
            take_new_number()
        super().__init__()
        # Of nothing: checkpoints hold what counts.
        self._state = ObjectState(self._hvd.broadcast_object, self._hvd.rank)
        notification_manager.init()
        notification_manager.register_listener(self._state)

    def regroup(self) -> None:
        """Raise HostsUpdatedInterrupt on all ranks where others wait."""
        self._state.check_host_updates()


class TorchRanks:
    """Ranks of torch.distributed, as torchrun and TorchDistributor start them: NCCL between GPUs, gloo for the rest."""

    def __init__(self) -> None:
        import torch.distributed as dist

        # Numbers and rows go through the memory of the CPU also where gradients do not.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=dt.timedelta(seconds=STALL_SHUTDOWN_SECONDS))
        self._dist = dist
        self.rank: int = dist.get_rank()
        self.size: int = dist.get_world_size()
        # Under TorchDistributor each rank has a torchrun of its own, which knows of no other on the same machine.
        hosts = self.gather(torch.tensor([zlib.crc32(socket.gethostname().encode())])).tolist()
        self.local_rank: int = hosts[: self.rank].count(hosts[self.rank])
        self.local_size: int = hosts.count(hosts[self.rank])

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by their sums over the ranks."""
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            self._dist.all_reduce(flat)
            sums = flat.split([tensor.numel() for tensor in bucket])
            for tensor, total in zip(bucket, sums, strict=True):
                tensor.copy_(total.view_as(tensor))

    def broadcast_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by those of rank 0."""
        for tensor in tensors:
            whole = tensor.contiguous()
            self._dist.broadcast(whole, 0)
            tensor.copy_(whole)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows of all ranks, in rank order; each sends as many as the rank with most has."""
        own = torch.tensor([len(rows)], device=rows.device)
        counts = [torch.empty_like(own) for _ in range(self.size)]
        self._dist.all_gather(counts, own)
        most = int(torch.cat(counts).max())
        if most == 0:
            return rows
        padded = rows.new_zeros((most, *rows.shape[1:]))
        padded[: len(rows)] = rows
        pieces = [torch.empty_like(padded) for _ in range(self.size)]
        self._dist.all_gather(pieces, padded)
        return torch.cat([piece[: int(count)] for piece, count in zip(pieces, counts, strict=True)])

    def regroup(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """Leave the group."""
        self._dist.destroy_process_group()


def choose_numbers(told: Mapping[str, str]) -> dict[str, str]:
    """Horovod's numbers for its background thread: those that a rank was told, where they are numbers.

    horovod.run 0.28.1 tells its ranks "(None,)", which Horovod reads as 0: its thread then exchanges messages without a
    pause, and two ranks on two cores take half as long again.
    """
    known = {name: told[name] for name in _HOROVOD_NUMBERS if told.get(name, "").replace(".", "", 1).isdigit()}
    return known if torch.cuda.is_available() else {"HOROVOD_CYCLE_TIME": str(_CPU_CYCLE_MILLISECONDS), **known}


def take_new_number() -> None:
    """Ask for this rank's number and the sizes of the group; the answer comes once all ranks that are left have asked."""
    own = os.environ
    server = f"http://{own['HOROVOD_GLOO_RENDEZVOUS_ADDR']}:{own['HOROVOD_GLOO_RENDEZVOUS_PORT']}"
    asked = f"{server}/rank_and_size/{own['HOROVOD_HOSTNAME']}:{own['HOROVOD_LOCAL_RANK']}"
    with urlopen(asked, timeout=2 * STALL_SHUTDOWN_SECONDS) as answer:
        numbers = answer.read().decode().split(",")
    names = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE", "CROSS_RANK", "CROSS_SIZE")
    own.update({f"HOROVOD_{name}": number.strip() for name, number in zip(names, numbers, strict=True)})
    if own["HOROVOD_RANK"] == "-1":
        raise RuntimeError("Horovod has no more use for this rank")


def _copy_back(tensors: Sequence[torch.Tensor], whole: Sequence[torch.Tensor]) -> None:
    for tensor, result in zip(tensors, whole, strict=True):
        if result is not tensor:
            tensor.copy_(result)


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Tensors of a kind together, up to some MiB: one message each would wait for the network as often, one for all copy them all."""
    waiting: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
    for tensor in tensors:
        bucket = waiting.setdefault((tensor.dtype, tensor.device), [])
        bucket.append(tensor)
        if sum(t.numel() * t.element_size() for t in bucket) >= _BUCKET_BYTES:
            yield waiting.pop((tensor.dtype, tensor.device))
    yield from waiting.values()


def gather_rows(comm: Communicator, rows: np.ndarray) -> np.ndarray:
    """Rows of a NumPy array from all ranks, in rank order."""
    gathered: np.ndarray = comm.gather(torch.from_numpy(np.ascontiguousarray(rows))).numpy()
    return gathered
