"""Encoders and language models that start from random weights, their size given."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attune.errors import SettingsError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Sizes:
    """Size of a transformer. The feed-forward layers are four times as wide.

    Raises SettingsError where the heads do not divide the width.
    """

    layers: int
    width: int  # features of a token
    heads: int
    vocab_size: int
    max_positions: int  # tokens of the longest text

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads, self.vocab_size, self.max_positions) < 1:
            raise SettingsError(f"{self}: every number must be at least 1")
        if self.width % self.heads:
            raise SettingsError(f"width {self.width} is no multiple of heads {self.heads}: change one of them")


def fresh_bert(sizes: Sizes, dropout: float, pad_id: int) -> "PreTrainedModel":
    """BERT without a pooling layer (Devlin et al. 2018), dropout on the hidden states alone."""
    from transformers import BertConfig, BertModel

    from attune.models.encoder import attention

    config = BertConfig(
        vocab_size=sizes.vocab_size, hidden_size=sizes.width, num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads, intermediate_size=4 * sizes.width,
        max_position_embeddings=sizes.max_positions, hidden_dropout_prob=dropout, attention_probs_dropout_prob=0.0,
        pad_token_id=pad_id, attn_implementation=attention(),
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=False)


def fresh_gpt2(sizes: Sizes, dropout: float, end_id: int) -> "PreTrainedModel":
    """GPT-2 with its prediction layer (Radford et al. 2019); ``end_id`` begins and ends a text."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=sizes.vocab_size, n_embd=sizes.width, n_layer=sizes.layers, n_head=sizes.heads,
        n_positions=sizes.max_positions, resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=0.0,
        bos_token_id=end_id, eos_token_id=end_id,
    )  # fmt: skip
    return GPT2LMHeadModel(config)
