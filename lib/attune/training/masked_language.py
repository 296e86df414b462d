"""Masked-language-model training: BERT learns the words of a field from text without labels.

Shapes: B texts of a batch, N texts of all ranks, T tokens, M hidden tokens.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from attune.models.encoder import load_encoder, load_tokenizer
from attune.models.fresh import Sizes, fresh_bert
from attune.models.masked_language import MaskedLanguageModel, load_head
from attune.training.communicator import Communicator
from attune.training.masking import Masking, hashed_draws, random_draws
from attune.training.task import Batch, Loss


class MaskedLanguage:
    """Predicts hidden words from the others (Devlin et al. 2018).

    Rows: ``tokens``, with the special tokens. Training hides other tokens each time, drawn from torch's generator;
    evaluation hides tokens that depend only on the text. The loss is the cross-entropy in nats, its mean over the
    hidden tokens. Metrics are those of ``token_metrics``.

    With ``sizes`` the weights are new, and ``encoder`` is a folder that need hold no more than ``tokenizer.json``;
    without them the encoder's training goes on, with its own prediction head where its folder has one.
    """

    token_columns = ("tokens",)
    value_columns = ()
    chosen_by = "log_likelihood"

    def __init__(self, encoder: str, dropout: float, mask_share: float = 0.15, sizes: Sizes | None = None) -> None:
        tokenizer = load_tokenizer(encoder)
        self._masking = Masking.of(tokenizer, mask_share)
        if sizes is None:
            self.network = MaskedLanguageModel(load_encoder(encoder, dropout))
            self.may_stay_untrained = load_head(self.network, encoder)
        else:
            self.network = MaskedLanguageModel(fresh_bert(sizes, dropout, tokenizer.token_to_id("[PAD]") or 0))
            self.may_stay_untrained = False

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """Sum over the hidden tokens of this rank's rows."""
        ids, mask = batch.tokens["tokens"]
        if len(ids) == 0:
            return Loss(None, 0.0, 0.0)
        shown, hidden = self._masking.hide(ids, mask, self._draws(ids, mask))
        logits = self.network(shown, mask, hidden)
        total = functional.cross_entropy(logits.float(), ids[hidden], reduction="sum")
        return Loss(total, total.detach(), hidden.sum())

    def outputs(self, batch: Batch) -> torch.Tensor:
        """Log loss summed over the hidden tokens, how many are predicted right, and how many there are, (B, 3)."""
        ids, mask = batch.tokens["tokens"]
        found = torch.zeros((len(ids), 3), device=ids.device)
        if len(ids) == 0:
            return found
        shown, hidden = self._masking.hide(ids, mask, hashed_draws(ids, mask))
        logits = self.network(shown, mask, hidden).float()
        losses = functional.cross_entropy(logits, ids[hidden], reduction="none")
        right = (logits.argmax(-1) == ids[hidden]).float()
        return found.index_add_(0, hidden.nonzero()[:, 0], torch.stack([losses, right, torch.ones_like(right)], 1))

    def metrics(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics over the hidden tokens of all rows."""
        total, right, count = outputs.astype(np.float64).sum(0).tolist()
        found = token_metrics(len(outputs), total, count)
        return {**found, "accuracy": right / count if count else float("nan")}

    def _draws(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return random_draws(ids)


def token_metrics(num_rows: int, total_loss: float, num_tokens: float) -> dict[str, float]:
    """``log_likelihood`` of a token, mean in nats, and ``perplexity``, e to the minus that; nan without tokens."""
    mean = total_loss / num_tokens if num_tokens else float("nan")
    perplexity = float(np.exp(np.float64(min(mean, 700.0)))) if num_tokens else float("nan")
    return {"num": float(num_rows), "num_tokens": num_tokens, "log_likelihood": -mean, "perplexity": perplexity}
