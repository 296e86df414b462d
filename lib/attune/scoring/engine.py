"""The scoring engine: a stored text network applied to a table of token ids, one load a worker, each text scored once.

Token ids arrive sorted by their hash (``scoring.tokens``), so that equal ones are neighbours: each is scored once, in
whichever batch it comes. Within a batch of Spark's the texts are scored in batches of similar length.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch

from attune.errors import SettingsError
from attune.models.batches import batches_by_length
from attune.models.network import Network
from attune.models.networks import read_network
from attune.models.precision import autocast, scoring_precision
from attune.models.quantised import has_int8, known_loss, quantised
from attune.models.store import verify
from attune.models.tokens import Ragged
from attune.scoring.plan import Scoring
from attune.scoring.progress import Tally
from attune.session import is_before_4

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import DataFrame, SparkSession

SCORED, EMPTY, INVALID = "scored", "empty", "invalid"


class Outputs(NamedTuple):
    """Outputs of a column of texts: ``values`` float32 (N, K), nan where the text was not scored; ``status`` (N,)."""

    values: np.ndarray
    status: np.ndarray


class Scorer:
    """A network on its device, in ``float32``, ``bfloat16`` or ``int8``."""

    def __init__(self, network: Network, tokens_per_batch: int, precision: str, device: torch.device) -> None:
        self.device = device
        self.network = (quantised(network) if precision == "int8" else network).to(device).eval()
        self.precision = precision
        self._tokens_per_batch = tokens_per_batch

    def score(self, tokens: pd.Series, done: Callable[[int, int], None] = lambda rows, tokens: None) -> Outputs:
        """What the network gives of each row of ``scoring.tokens.token_bytes``; equal ones are scored once.

        Status: ``scored``; ``empty`` where the text is null or blank; ``invalid`` where the tokenizer knows nothing
        in it. ``done`` is told of rows, and of the tokens in them, as soon as they are scored.
        """
        codes, distinct = pd.factorize(tokens)
        present = codes >= 0
        ragged = Ragged.from_bytes(distinct.tolist())
        repeats = np.bincount(codes[present], minlength=len(ragged))
        scorable = np.flatnonzero(ragged.lengths)
        done(len(tokens) - int(repeats[scorable].sum()), 0)
        outputs = np.full((len(ragged), self.network.num_outputs), np.nan, np.float32)
        with torch.inference_mode():
            lengths = ragged.lengths[scorable] + self.network.added_tokens
            for batch in batches_by_length(lengths, self._tokens_per_batch):
                rows = scorable[batch]
                outputs[rows] = self._predict(*ragged.padded(rows, self.network.pad_id))
                done(int(repeats[rows].sum()), int((repeats[rows] * ragged.lengths[rows]).sum()))
        values = np.full((len(tokens), self.network.num_outputs), np.nan, np.float32)
        values[present] = outputs[codes[present]]
        status = np.full(len(tokens), EMPTY, dtype=object)
        status[present] = np.where(ragged.lengths[codes[present]] > 0, SCORED, INVALID)
        return Outputs(values, status)

    def _predict(self, ids: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
        with autocast(self.device, self.precision == "bfloat16"):
            result = self.network.predict(ids.to(self.device), mask.to(self.device))
        outputs: np.ndarray = result.float().cpu().numpy()
        return outputs


def load_scorer(how: Scoring) -> Scorer:
    """Scorer of a stored model, once per Python worker, after its files have been verified."""
    return _loaded(replace(how, progress=None))  # which differs from run to run, and changes nothing of the scorer


@lru_cache(maxsize=2)
def _loaded(how: Scoring) -> Scorer:
    torch.set_num_threads(threads_of_task())
    verify(how.model_folder)
    device = device_of_task()
    int8_loss = known_loss(how.model_folder) if has_int8() else None
    precision = scoring_precision(how.precision, device, int8_loss, how.max_int8_loss)
    network = read_network(how.model_folder).for_texts(how.max_new_tokens)
    return Scorer(network, how.tokens_per_batch, precision, device)


def score_batches(batches: Iterable[pd.DataFrame], how: Scoring) -> Iterator[tuple[pd.DataFrame, Outputs]]:
    """Outputs of the column ``tokens`` of each batch of one partition."""
    scorer = load_scorer(how)
    with Tally(how.progress, "scored") as tally:
        for batch in batches:
            yield batch, scorer.score(batch["tokens"], tally.add)


def apply_to_tokens(
    rows: "DataFrame", apply: Callable[[Iterable[pd.DataFrame]], Iterator[pd.DataFrame]], schema: str, how: Scoring
) -> "DataFrame":
    """Rows through a function over the batches of a partition, in tasks that ask for ``gpus_per_task``.

    Raises SettingsError where Spark cannot give a stage GPUs of its own.
    """
    if how.gpus_per_task is None:
        return rows.mapInPandas(apply, schema)
    if reason := _no_gpus(rows.sparkSession):
        raise SettingsError(f"score.gpus_per_task: {reason}: set it to null")
    return rows.mapInPandas(apply, schema, profile=_with_gpus(how.gpus_per_task))


def _no_gpus(spark: "SparkSession") -> str | None:
    """Why a stage cannot ask for GPUs here; None where it can."""
    if is_before_4(spark):
        return f"Spark {spark.version} cannot give a stage of pandas functions GPUs of its own, Spark 4 can"
    if not spark.conf.get("spark.executor.resource.gpu.amount", ""):
        return "executors have no GPUs (spark.executor.resource.gpu.amount is not set)"
    if re.match(r"local\b(?!-cluster)", spark.conf.get("spark.master", "") or ""):
        return "a local master gives no stage resources of its own"
    return None


@lru_cache(maxsize=1)
def _with_gpus(gpus: float) -> "ResourceProfile":
    """The same object each time: in one stage Spark takes two that are equal for different ones."""
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    return ResourceProfileBuilder().require(TaskResourceRequests().resource("gpu", gpus)).build


def device_of_task() -> torch.device:
    """The GPU that Spark gave the task, else any GPU, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    from pyspark import TaskContext

    context = TaskContext.get()
    resources = context.resources() if context is not None else {}
    return torch.device("cuda", int(resources["gpu"].addresses[0]) if "gpu" in resources else 0)


def threads_of_task() -> int:
    """Threads of one task: as many as the cores Spark reserves for it, so that tasks do not fight."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.cpus() if context is not None else len(os.sched_getaffinity(0))
