"""What every group of ranks must do, whatever starts them; run as a program it is one rank of torch.distributed."""

import sys

import numpy as np
import torch

from attune.training.communicator import Communicator, HorovodRanks, TorchRanks, gather_rows


def fulfil(comm: Communicator) -> str:
    """Raise AssertionError where the group does not keep the contract."""
    rank, size = comm.rank, comm.size
    assert 0 <= rank < size
    assert 0 <= comm.local_rank < comm.local_size <= size
    _sums(comm, rank, size)
    _broadcast(comm, rank)
    for rows in ([3] * size, list(range(size)), [0] * size, [0] * (size - 1) + [2]):
        _gather(comm, rank, rows)
    return f"rank {rank} of {size} keeps the contract"


def _sums(comm: Communicator, rank: int, size: int) -> None:
    """Of several tensors at once, of unlike shapes and types, in place, and larger than a message."""
    large = torch.full((3, 5_000_000), float(rank + 1))
    tensors = [torch.full((2, 3), float(rank)), torch.tensor(rank), torch.tensor([rank, 1], dtype=torch.float64), large]
    transposed = torch.full((4, 2), float(rank)).T
    tensors.append(transposed)
    comm.sum_(tensors)
    total = sum(range(size))
    assert torch.equal(tensors[0], torch.full((2, 3), float(total)))
    assert int(tensors[1]) == total
    assert tensors[2].tolist() == [total, size]
    assert bool((large == total + size).all())
    assert torch.equal(transposed, torch.full((2, 4), float(total)))


def _broadcast(comm: Communicator, rank: int) -> None:
    transposed = torch.arange(6.0).reshape(2, 3).add(rank).T
    tensors = [torch.tensor([rank, rank]), torch.tensor(float(rank)), transposed]
    comm.broadcast_(tensors)
    assert tensors[0].tolist() == [0, 0]
    assert float(tensors[1]) == 0.0
    assert torch.equal(transposed, torch.arange(6.0).reshape(2, 3).T)


def _gather(comm: Communicator, rank: int, rows: list[int]) -> None:
    """Rows of all ranks in order, as many as each has, of several types and shapes."""
    for dtype in (np.float32, np.float64, np.int64):
        for shape in ((), (2,), (0,)):
            parts = [np.full((n, *shape), 10 * r + 1, dtype) for r, n in enumerate(rows)]
            gathered = gather_rows(comm, parts[rank])
            assert gathered.dtype == dtype
            np.testing.assert_array_equal(gathered, np.concatenate(parts))


if __name__ == "__main__":
    ranks = {"torch": TorchRanks, "horovod": HorovodRanks}[sys.argv[1]]()
    print(fulfil(ranks), flush=True)
    ranks.close()
