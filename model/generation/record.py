"""What a search keeps of its steps, as far as the configuration asks for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from model.generation.outputs import Layers
from model.generation_config import GenerationConfig
from model.layers.outputs import BaseModelOutput

Steps = tuple[Layers, ...]


class Record:
    """Scores, logits, attentions and hidden states, one element for each new token."""

    def __init__(self, config: GenerationConfig) -> None:
        """Ask for what the configuration names; without return_dict_in_generate for nothing."""
        kept = bool(config.return_dict_in_generate)
        self.scores: tuple[Tensor, ...] | None = () if kept and config.output_scores else None
        self.logits: tuple[Tensor, ...] | None = () if kept and config.output_logits else None
        weights = kept and config.output_attentions
        self.decoder_attentions: Steps | None = () if weights else None
        self.cross_attentions: Steps | None = () if weights else None
        self.decoder_hidden_states: Steps | None = () if kept and config.output_hidden_states else None

    def choice(self, scores: Tensor, logits: Tensor) -> None:
        """Keep what one token was chosen by, each (rows, vocab_size)."""
        if self.scores is not None:
            self.scores += (scores,)
        if self.logits is not None:
            self.logits += (logits,)

    def traces(self, output: Any, rows_each: int = 1) -> None:
        """Keep what the network did to read tokens; rows_each: how often each row of its output counts."""
        attentions, cross, hidden = layers_of(output)
        if self.decoder_attentions is not None and self.cross_attentions is not None:
            self.decoder_attentions += (_repeated(attentions, rows_each),)
            self.cross_attentions += (_repeated(cross, rows_each),)
        if self.decoder_hidden_states is not None:
            self.decoder_hidden_states += (_repeated(hidden, rows_each),)

    def split_traces(self, output: Any, start: int, count: int) -> None:
        """Keep what the network did to read a draft: an element for each of the first `count` tokens it led to.

        start: tokens of the sequence before the draft. The first element of all covers the prompt, as in `traces`.
        """
        attentions, cross, hidden = layers_of(output)
        if self.decoder_attentions is not None and self.cross_attentions is not None:
            self.decoder_attentions = _split(self.decoder_attentions, attentions, start, count, cells=True)
            self.cross_attentions = _split(self.cross_attentions, cross, start, count)
        if self.decoder_hidden_states is not None:
            self.decoder_hidden_states = _split(self.decoder_hidden_states, hidden, start, count)

    def fields(self, encoder_outputs: BaseModelOutput) -> dict[str, Any]:
        """Return the fields of an output; the encoder's only where the decoder's are asked for."""
        return {
            "scores": self.scores,
            "logits": self.logits,
            "encoder_attentions": None if self.decoder_attentions is None else encoder_outputs.attentions,
            "encoder_hidden_states": None if self.decoder_hidden_states is None else encoder_outputs.hidden_states,
            "decoder_attentions": self.decoder_attentions,
            "cross_attentions": self.cross_attentions,
            "decoder_hidden_states": self.decoder_hidden_states,
        }


def layers_of(output: Any) -> tuple[Layers, Layers, Layers]:
    """Return self-attentions, cross-attentions and hidden states of a decoder's output, () where not asked for."""
    own = output.get("decoder_attentions", output.get("attentions", ()))
    hidden = output.get("decoder_hidden_states", output.get("hidden_states", ()))
    return own, output.get("cross_attentions", ()), hidden


def _repeated(layers: Layers, times: int) -> Layers:
    return layers if times == 1 else tuple(layer.repeat_interleave(times, dim=0) for layer in layers)


def _split(steps: Steps, layers: Layers, start: int, count: int, *, cells: bool = False) -> Steps:
    """Cut (…, n, size) of each layer, n the tokens read, into elements; cells: `size` grows with the sequence."""
    place = 0
    if not steps:
        # All of the prompt, whose last token leads to the first of the draft.
        steps = (_cut(layers, slice(0, start), start if cells else None),)
        place, count = start, count - 1
    for i in range(count):
        length = start + i + (1 if place else 0)
        steps += (_cut(layers, slice(place + i, place + i + 1), length if cells else None),)
    return steps


def _cut(layers: Layers, tokens: slice, size: int | None) -> Layers:
    return tuple(layer[..., tokens, :size] for layer in layers)


def last_logits(output: Any) -> Tensor:
    """Return the logits of the newest token as the search works with them: a float32 copy, (rows, vocab_size)."""
    logits: Tensor = output.logits
    return logits[:, -1].to(torch.float32, copy=True)
