"""A rank takes the GPU that Spark gave it, and says which settings need less memory."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from attune.errors import SettingsError
from attune.training.classification import Classification
from attune.training.communicator import Communicator, SingleProcess
from attune.training.devices import gpu_index
from attune.training.rank import run_rank
from attune.training.task import Batch, Loss
from training.dying import make_job

ERRORS = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total of 79 GiB"),
    "cpu": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: 8 GB"
    ),
    "python": MemoryError(),
}


class Hungry(Classification):
    """Needs more memory than there is."""

    def __init__(self, encoder: str, error: str) -> None:
        super().__init__(encoder, ["negative", "positive"], dropout=0.0, label_smoothing=0.0)
        self._error = error

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """No loss."""
        raise ERRORS.get(self._error) or RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.mark.parametrize(("error", "where"), [("gpu", "GPU"), ("cpu", "machine"), ("python", "machine")])
def test_too_little_memory_names_the_settings(tmp_path: Path, error: str, where: str) -> None:
    with pytest.raises(SettingsError, match=f"the {where}'s memory does not suffice") as caught:
        run_rank(make_job(tmp_path, Hungry, {"error": error}, num_rows=40), SingleProcess())
    for part in (
        "train.sentiment.tokens_per_batch (now 256",
        "train.sentiment.max_tokens (now 16)",
        "train.gradient_checkpointing=true",
    ):
        assert part in str(caught.value)
    assert caught.value.__cause__ is ERRORS[error]


def test_any_other_error_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run_rank(make_job(tmp_path, Hungry, {"error": "other"}, num_rows=40), SingleProcess())


@pytest.mark.parametrize(
    ("addresses", "local_rank", "expected"),
    [(["3"], 0, 3), (["0"], 1, 0), ([], 1, 1), ([], 5, 1), (["9"], 2, 2), (["MIG-GPU-1"], 3, 3), (None, 2, 2)],
)
def test_the_gpu_of_a_rank(
    addresses: list[str] | None, local_rank: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks on one GPU halve the speed and double the memory there, and nothing says so."""
    task = None if addresses is None else SimpleNamespace(get_available_devices=lambda: addresses)
    monkeypatch.setitem(sys.modules, "horovod.spark.task", task)
    assert gpu_index(SimpleNamespace(local_rank=local_rank), 4) == expected
