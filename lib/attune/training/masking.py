"""Which tokens are hidden from a masked language model, and by what.

Shapes: B texts, T tokens, S special tokens, W ordinary words.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from attune.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_DRAWS = 3  # which tokens, what becomes of them, which word takes their place
_MASKED, _REPLACED = 0.8, 0.9  # of the hidden tokens: below the first a mask, below the second a random word
_MULTIPLIER, _GOLDEN, _MIX = 6364136223846793005, -7046029254386353131, -4658895280553007687


@dataclass(frozen=True)
class Masking:
    """Hides a share of a text's ordinary tokens, at least one (Devlin et al. 2018, appendix A.1).

    Of the hidden tokens 80% become the mask, 10% a random ordinary word, 10% stay as they are.
    """

    share: float
    mask_id: int
    special: torch.Tensor  # int64 (S,), never hidden and never put in a token's place
    ordinary: torch.Tensor  # int64 (W,)

    @staticmethod
    def of(tokenizer: "Tokenizer", share: float) -> "Masking":
        """For a tokenizer with a ``[MASK]``; raises InputError where it has none."""
        mask_id = tokenizer.token_to_id("[MASK]")
        if mask_id is None:
            raise InputError("the encoder's tokenizer has no [MASK]: take one for masked-language training, as BERT's")
        named = {i for token in SPECIAL if (i := tokenizer.token_to_id(token)) is not None}
        added = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        special = sorted(named | added)
        ordinary = sorted(set(range(tokenizer.get_vocab_size())) - set(special))
        return Masking(share, mask_id, torch.tensor(special), torch.tensor(ordinary))

    def hide(
        self, ids: torch.Tensor, mask: torch.Tensor, draws: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Ids to show, (B, T), and where tokens are hidden, bool (B, T).

        ``draws`` are three uniform numbers in [0, 1) for each token, (3, B, T). A row's outcome does not depend on the
        other rows, nor on how far it is padded.
        """
        may_hide = (mask == 1) & ~torch.isin(ids, self.special.to(ids.device))
        count = (may_hide.sum(1) * self.share).round().clamp(min=1)
        place = draws[0].masked_fill(~may_hide, 2.0).argsort(dim=1, stable=True).argsort(dim=1)
        hidden = may_hide & (place < count[:, None])
        ordinary = self.ordinary.to(ids.device)
        words = ordinary[(draws[2] * len(ordinary)).long().clamp(max=len(ordinary) - 1)]
        shown = torch.where(hidden & (draws[1] < _MASKED), self.mask_id, ids)
        return torch.where(hidden & (draws[1] >= _MASKED) & (draws[1] < _REPLACED), words, shown), hidden


def random_draws(ids: torch.Tensor) -> torch.Tensor:
    """Draws from torch's generator, for training."""
    return torch.rand((_DRAWS, *ids.shape), device=ids.device)


def hashed_draws(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Draws that depend only on the tokens of the row, for evaluation: the same at every epoch and in every batch.

    The row is hashed as a polynomial of its tokens, the hash and the place mixed as in SplitMix64 (Steele et al. 2014).
    """
    places = torch.arange(ids.shape[1], device=ids.device)
    powers = torch.full_like(places, _MULTIPLIER).cumprod(0)
    of_row = ((ids + 1) * mask * powers).sum(1)
    draws = torch.arange(_DRAWS, device=ids.device)
    state = of_row[None, :, None] + (places[None, None, :] * _DRAWS + draws[:, None, None] + 1) * _GOLDEN
    for shift, factor in ((30, _MIX), (27, _MULTIPLIER), (31, 1)):
        state = (state ^ _shifted(state, shift)) * factor
    return _shifted(state, 40).float() / (1 << 24)


def _shifted(values: torch.Tensor, by: int) -> torch.Tensor:
    """Bits of int64 moved right, zeros coming in; torch's own shift brings in the sign."""
    return (values >> by) & ((1 << (64 - by)) - 1)
