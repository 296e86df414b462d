"""What the training loop asks of the ranks it runs on, and who can give it."""

import datetime as dt
import os
import socket
import zlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

STALL_SHUTDOWN_SECONDS = 300
"""A rank that waits so long for another is stopped: a collective operation that not all ranks reach never ends."""

_BUCKET_BYTES = 32 << 20


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

    def close(self) -> None:
        """Nothing to leave."""


class HorovodRanks:
    """Ranks started by Horovod."""

    def __init__(self) -> None:
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
        self._hvd.grouped_allreduce_(whole, op=self._hvd.Sum)
        for tensor, total in zip(tensors, whole, strict=True):
            if total is not tensor:
                tensor.copy_(total)

    def broadcast_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by those of rank 0."""
        for tensor in tensors:
            whole = tensor.contiguous()  # the tensor itself, but for one that lies transposed
            self._hvd.broadcast_(whole, 0)
            if whole is not tensor:
                tensor.copy_(whole)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows of all ranks, in rank order."""
        gathered: torch.Tensor = self._hvd.allgather(rows.contiguous())
        return gathered

    def close(self) -> None:
        """Leave the group."""
        self._hvd.shutdown()


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

    def close(self) -> None:
        """Leave the group."""
        self._dist.destroy_process_group()


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
