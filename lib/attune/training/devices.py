"""Which GPU a rank takes, and what to do where memory does not suffice."""

import ctypes
import sys
from contextlib import suppress

import torch

from attune.errors import SettingsError
from attune.training.communicator import Communicator
from attune.training.plan import RankJob

_NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory")
"""What torch says in a RuntimeError: its CPU allocator has no error of its own."""


def gpu_index(comm: Communicator, num_gpus: int) -> int:
    """GPU of this rank: the one that Spark gave to its task, or else one for each rank of the machine in turn.

    TorchDistributor makes a task's GPU the only one that can be seen; Horovod on Spark hands on its address.
    """
    addresses = spark_gpus()
    if addresses and addresses[0].isdecimal() and int(addresses[0]) < num_gpus:
        return int(addresses[0])
    return comm.local_rank % num_gpus


def spark_gpus() -> list[str]:
    """Addresses of the GPUs that Spark gave to the task of a rank that horovod.spark started; elsewhere none."""
    task = sys.modules.get("horovod.spark.task")
    return [] if task is None else list(task.get_available_devices())


def out_of_memory(error: BaseException, job: RankJob) -> SettingsError | None:
    """The error that names the settings which need less memory; None where memory was not what was missing."""
    text = str(error)
    if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not any(part in text for part in _NO_MEMORY):
        return None
    where = "GPU" if isinstance(error, torch.OutOfMemoryError) or "CUDA" in text else "machine"
    said = text.splitlines()[0][:200] if text else type(error).__name__
    again = "" if job.loop.gradient_checkpointing else ", or set train.gradient_checkpointing=true"
    return SettingsError(
        f"the {where}'s memory does not suffice for training ({said}): lower {job.settings_key}.tokens_per_batch (now "
        f"{job.loop.tokens_per_batch}, over all ranks) or {job.settings_key}.max_tokens (now {job.max_tokens}), raise "
        f"train.accumulation (now {job.loop.accumulation}){again}"
    )


def reuse_memory() -> None:
    """Have glibc keep the memory that tensors leave: a step on a CPU then takes a tenth less.

    By default it gives large blocks back to the kernel and faults their pages in again at every step (mallopt(3)).
    Elsewhere nothing happens.
    """
    threshold, trim = -3, -1
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(threshold, 1 << 30)
        libc.mallopt(trim, (1 << 31) - 1)
