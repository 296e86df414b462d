"""The tables of a workspace that recommendation reads."""

from typing import TYPE_CHECKING

from attune.recommend.inputs import Inputs

if TYPE_CHECKING:
    from attune.run import Run

_OPTIONAL = ("items", "users", "user_features", "item_features", "review_sentiment", "embeddings")
_FOR_THE_CAP = "impressions"
READS = ("models/ranker", "events", *_OPTIONAL, _FOR_THE_CAP)
"""What a job reads that ranks with the model in use."""


def read_inputs(run: "Run") -> Inputs:
    """Latest tables of the run's workspace; what is absent is noted as skipped, with what goes without it."""
    names = _OPTIONAL if run.settings.recommend.rerank.frequency_cap is None else (*_OPTIONAL, _FOR_THE_CAP)
    found = {name: run.read(name) for name in names if run.has(name)}
    inputs = Inputs(events=run.read("events"), **found)
    for part, reason in inputs.skipped().items():
        run.skip(part, reason)
    return inputs
