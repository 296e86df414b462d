"""How a stored model is applied to a table, as plain values that travel to the workers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attune.errors import SettingsError
from attune.models.network import EncoderNetwork, Network
from attune.models.networks import KINDS, describe_network

if TYPE_CHECKING:
    from attune.config import Config


@dataclass(frozen=True)
class Scoring:
    """What a worker needs to know; meanings and units of the settings stand in ``conf/base.yaml`` under ``score``.

    The folder must be readable under the same path on all executors. ``progress``: folder that tasks tell in how far they are,
    see ``scoring.progress``; None: nowhere.
    """

    model_folder: str
    max_tokens: int
    tokens_per_batch: int
    precision: str
    max_int8_loss: float
    max_new_tokens: int
    gpus_per_task: float | None = None
    progress: str | None = None


def scoring_of(
    model_folder: str, settings: "Config", max_tokens: int | None = None, progress: str | None = None
) -> Scoring:
    """Scoring of a model by the settings.

    Longer texts are cut to ``max_tokens``; None, and any higher number, stand for the length the model was trained on.
    Raises SettingsError where ``score.precision`` is int8, but the model stands on no encoder.
    """
    description, score = describe_network(model_folder), settings.score
    trained_on = int(description["max_tokens"])
    if score.precision == "int8" and not issubclass(KINDS.get(description["kind"], Network), EncoderNetwork):
        raise SettingsError(
            f"score.precision int8 is for networks on an encoder, but {model_folder} holds one of kind "
            f"{description['kind']}: set auto"
        )
    return Scoring(
        model_folder, min(max_tokens or trained_on, trained_on), score.tokens_per_batch, score.precision,
        score.max_int8_loss, score.max_new_tokens, score.gpus_per_task, progress,
    )  # fmt: skip
