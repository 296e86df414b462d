"""What the training loop asks of the ranks it runs on, and who can give it."""

import os
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

STALL_SHUTDOWN_SECONDS = 300
"""A rank that waits so long for another is stopped: a collective operation that not all ranks reach never ends."""


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
        self._hvd.grouped_allreduce_(list(tensors), op=self._hvd.Sum)

    def broadcast_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by those of rank 0."""
        for tensor in tensors:
            self._hvd.broadcast_(tensor, 0)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows of all ranks, in rank order."""
        gathered: torch.Tensor = self._hvd.allgather(rows.contiguous())
        return gathered

    def close(self) -> None:
        """Leave the group."""
        self._hvd.shutdown()


def gather_rows(comm: Communicator, rows: np.ndarray) -> np.ndarray:
    """Rows of a NumPy array from all ranks, in rank order."""
    gathered: np.ndarray = comm.gather(torch.from_numpy(np.ascontiguousarray(rows))).numpy()
    return gathered
