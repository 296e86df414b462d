"""Causal-language-model training, for marketing copy: each word from those before it.

Shapes: B texts of a batch, N texts of all ranks, T tokens, M tokens that count.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from attune.models.causal_language import CausalLanguageModel, load_causal
from attune.models.encoder import load_tokenizer
from attune.models.fresh import Sizes, fresh_gpt2
from attune.training.communicator import Communicator
from attune.training.masked_language import token_metrics
from attune.training.task import Batch, Loss

_END_TOKENS = ("<|endoftext|>", "</s>", "[SEP]")


class CausalLanguage:
    """Predicts each token from those before it (Radford et al. 2018, 2019).

    Rows: ``tokens``, and with ``has_prompts`` also ``prompt_tokens``: so many tokens at the start of a row are given
    and carry no loss. The loss is the cross-entropy in nats, its mean over the other tokens but a row's first. Metrics
    are those of ``token_metrics``, over the same tokens.

    With ``sizes`` the model is a new GPT-2, and ``encoder`` is a folder that need hold no more than ``tokenizer.json``;
    without them ``encoder`` names a causal language model whose training goes on.
    """

    token_columns = ("tokens",)
    chosen_by = "log_likelihood"

    def __init__(self, encoder: str, dropout: float, has_prompts: bool = False, sizes: Sizes | None = None) -> None:
        self.value_columns = ("prompt_tokens",) if has_prompts else ()
        self.may_stay_untrained = sizes is None
        if sizes is None:
            self.network = CausalLanguageModel(load_causal(encoder, dropout))
        else:
            tokenizer = load_tokenizer(encoder)
            found = [i for token in _END_TOKENS if (i := tokenizer.token_to_id(token)) is not None]
            self.network = CausalLanguageModel(fresh_gpt2(sizes, dropout, found[0] if found else 0))

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """Sum over the tokens of this rank's rows."""
        counts = self._counts(batch)
        num = int(counts.sum())
        if num == 0:
            return Loss(None, 0.0, 0.0)
        total = self._losses(batch, counts).sum()
        return Loss(total, total.detach(), num)

    def outputs(self, batch: Batch) -> torch.Tensor:
        """Log loss summed over a row's tokens, and how many there are, (B, 2)."""
        counts = self._counts(batch)
        found = torch.zeros((len(batch), 2), device=counts.device)
        if not counts.any():
            return found
        losses = self._losses(batch, counts)
        return found.index_add_(0, counts.nonzero()[:, 0], torch.stack([losses, torch.ones_like(losses)], 1))

    def metrics(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics over the tokens of all rows."""
        total, count = outputs.astype(np.float64).sum(0).tolist()
        return token_metrics(len(outputs), total, count)

    def _counts(self, batch: Batch) -> torch.Tensor:
        """Where the token that follows carries loss, bool (B, T - 1)."""
        ids, mask = batch.tokens["tokens"]
        counts = mask[:, 1:].bool()
        if self.value_columns:
            following = torch.arange(1, counts.shape[1] + 1, device=ids.device)
            counts = counts & (following[None, :] >= batch.values["prompt_tokens"].long()[:, None])
        return counts

    def _losses(self, batch: Batch, counts: torch.Tensor) -> torch.Tensor:
        """Log loss of the tokens that count, float32 (M,)."""
        ids, mask = batch.tokens["tokens"]
        logits = self.network(ids[:, :-1], mask[:, :-1], counts)
        return functional.cross_entropy(logits.float(), ids[:, 1:][counts], reduction="none")
