"""What a search returns with `return_dict_in_generate`.

Classes and fields are those of transformers generation/utils.py.

One element of scores, logits, decoder_attentions, cross_attentions and decoder_hidden_states belongs to each new token;
the first of the last three covers the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from model.layers.outputs import ModelOutput

if TYPE_CHECKING:
    from model.layers.cache import DecoderCache

Layers = tuple[Tensor, ...]
"""One tensor of each layer."""


@dataclass(eq=False)
class GenerateEncoderDecoderOutput(ModelOutput):
    """Sequences found without beams."""

    sequences: Tensor | None = None
    """(rows, length) tokens, the prompt included; rows = batch * num_return_sequences."""
    scores: tuple[Tensor, ...] | None = None
    """(rows, vocab_size) each: what the token was chosen by."""
    logits: tuple[Tensor, ...] | None = None
    """(rows, vocab_size) each: what the network said."""
    encoder_attentions: Layers | None = None
    encoder_hidden_states: Layers | None = None
    decoder_attentions: tuple[Layers, ...] | None = None
    cross_attentions: tuple[Layers, ...] | None = None
    decoder_hidden_states: tuple[Layers, ...] | None = None
    past_key_values: DecoderCache | None = None


@dataclass(eq=False)
class GenerateBeamEncoderDecoderOutput(ModelOutput):
    """Sequences found by beams; best first for each input."""

    sequences: Tensor | None = None
    sequences_scores: Tensor | None = None
    """(rows,): log-probability over length to the power of the length penalty."""
    scores: tuple[Tensor, ...] | None = None
    """(batch * num_beams, vocab_size) each: processed log-probabilities of the step."""
    logits: tuple[Tensor, ...] | None = None
    beam_indices: Tensor | None = None
    """(rows, new tokens): which of the batch * num_beams rows each token came from; -1 beyond the end."""
    encoder_attentions: Layers | None = None
    encoder_hidden_states: Layers | None = None
    decoder_attentions: tuple[Layers, ...] | None = None
    cross_attentions: tuple[Layers, ...] | None = None
    decoder_hidden_states: tuple[Layers, ...] | None = None
    past_key_values: DecoderCache | None = None


GenerateOutput = GenerateEncoderDecoderOutput | GenerateBeamEncoderDecoderOutput
