"""The scoring engine: a stored text network applied to a column of texts, one load a worker, each text scored once.

The texts arrive sorted by their hash, so that equal ones are neighbours: each is scored once, in whichever batch it
comes. Within a batch of Spark's the texts are scored in batches of similar length.
"""

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch

from attune.models.batches import batches_by_length
from attune.models.network import Network
from attune.models.networks import TOKENIZER, describe_network, read_network
from attune.models.precision import autocast, use_bfloat16
from attune.models.store import verify
from attune.models.tokens import Ragged, TextEncoder, text_encoder

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SCORED, EMPTY, INVALID = "scored", "empty", "invalid"
_BETWEEN = "\x1f"
"""The unit separator stands between the texts of a pair."""


class Outputs(NamedTuple):
    """Outputs of a column of texts: ``values`` float32 (N, K), nan where the text was not scored; ``status`` (N,)."""

    values: np.ndarray
    status: np.ndarray


class Scorer:
    """A network on its device, with the text encoder it was trained with."""

    def __init__(self, network: Network, encoder: TextEncoder, tokens_per_batch: int, precision: str = "auto") -> None:
        self.device = device_of_task()
        self.network = network.to(self.device).eval()
        self._encoder = encoder
        self._tokens_per_batch = tokens_per_batch
        self._bfloat16 = use_bfloat16(precision, self.device)

    def score(self, texts: pd.Series, others: pd.Series | None = None) -> Outputs:
        """What the network gives of each text, or of each pair of texts; equal ones are scored once.

        Status: ``scored``; ``empty`` where a text is null or blank; ``invalid`` where the tokenizer knows nothing
        in it.
        """
        stripped = _stripped(texts)
        if others is not None:
            stripped = stripped + _BETWEEN + _stripped(others)
        codes, distinct = pd.factorize(stripped)
        outputs, known = self._score_distinct([str(text) for text in distinct], others is not None)
        values = np.full((len(texts), self.network.num_outputs), np.nan, np.float32)
        status = np.full(len(texts), EMPTY, dtype=object)
        present = codes >= 0
        values[present] = outputs[codes[present]]
        status[present] = np.where(known[codes[present]], SCORED, INVALID)
        return Outputs(values, status)

    def _score_distinct(self, texts: list[str], are_pairs: bool = False) -> tuple[np.ndarray, np.ndarray]:
        tokens = Ragged.of(self._encode(texts, are_pairs) if texts else [])
        outputs = np.full((len(texts), self.network.num_outputs), np.nan, np.float32)
        scorable = np.flatnonzero(tokens.lengths)
        with torch.inference_mode():
            for batch in batches_by_length(tokens.lengths[scorable], self._tokens_per_batch):
                rows = scorable[batch]
                ids, mask = tokens.padded(rows, self.network.pad_id)
                with autocast(self.device, self._bfloat16):
                    result = self.network.predict(ids.to(self.device), mask.to(self.device))
                outputs[rows] = result.float().cpu().numpy()
        return outputs, tokens.lengths > 0

    def _encode(self, texts: list[str], are_pairs: bool) -> list[np.ndarray]:
        if not are_pairs:
            return self._encoder.encode(texts)
        parts = [text.split(_BETWEEN) for text in texts]
        return self._encoder.encode_pairs([part[0] for part in parts], [part[-1] for part in parts])


def _stripped(texts: pd.Series) -> pd.Series:
    """Texts without blanks around them, null where nothing is left."""
    return texts.str.replace(_BETWEEN, " ", regex=False).str.strip().replace("", None)


@lru_cache(maxsize=2)
def load_scorer(model_folder: str, max_tokens: int | None, tokens_per_batch: int, precision: str) -> Scorer:
    """Scorer of a stored model, once per Python worker, after its files have been verified.

    Longer texts are cut to ``max_tokens``; None, and any higher number, stand for the length the model was trained on.
    """
    torch.set_num_threads(threads_of_task())
    verify(model_folder)
    trained_on = int(describe_network(model_folder)["max_tokens"])
    encoder = text_encoder(str(Path(model_folder) / TOKENIZER), min(max_tokens or trained_on, trained_on))
    return Scorer(read_network(model_folder), encoder, tokens_per_batch, precision)


def spread_by_text(df: "DataFrame", text: "Column") -> "DataFrame":
    """Add ``text``, and lay rows out so that equal texts are neighbours and all task slots have work."""
    from pyspark.sql import functions as F

    partitions = int(df.sparkSession.conf.get("spark.sql.shuffle.partitions", "8") or 8)
    hashed = df.withColumn("text", text).withColumn("_hash", F.xxhash64("text"))
    return hashed.repartition(partitions, "_hash").sortWithinPartitions("_hash").drop("_hash")


def score_batches(
    batches: Iterable[pd.DataFrame], model_folder: str, max_tokens: int | None, tokens_per_batch: int, precision: str
) -> Iterator[tuple[pd.DataFrame, Outputs]]:
    """Outputs of the column ``text`` of each batch of one partition, together with ``other_text`` where that is there."""
    scorer = load_scorer(model_folder, max_tokens, tokens_per_batch, precision)
    for batch in batches:
        yield batch, scorer.score(batch["text"], batch.get("other_text"))


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
