"""What the forward passes return: fields by attribute, by name, or by place among those that are there.

Source: the output classes of transformers, whose names, fields and behaviour these have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from torch import Tensor

if TYPE_CHECKING:
    from model.layers.cache import DecoderCache


@dataclass(eq=False)
class ModelOutput(dict[str, Any]):
    """A dictionary of the fields that are not None, in order; iterating yields names, an index counts values."""

    def __post_init__(self) -> None:
        """List the fields that were given."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                super().__setitem__(field.name, value)

    def __getitem__(self, key: str | int | slice) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        object.__setattr__(self, key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if value is not None and name in {field.name for field in dataclasses.fields(self)}:
            super().__setitem__(name, value)
        object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the values of the fields that are there."""
        return tuple(self.values())

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(f"fields of a {type(self).__name__} cannot be taken away")

    __delitem__ = pop = popitem = clear = update = setdefault = __ior__ = _refuse


@dataclass(eq=False)
class BaseModelOutput(ModelOutput):
    """What the encoder returns."""

    last_hidden_state: Tensor | None = None
    """(batch, n_audio_ctx, d_model)."""
    hidden_states: tuple[Tensor, ...] | None = None
    """What went into the first layer and came out of each; the last one is `last_hidden_state`."""
    attentions: tuple[Tensor, ...] | None = None
    """Of each layer, (batch, heads, n, n), after softmax."""


@dataclass(eq=False)
class BaseModelOutputWithPastAndCrossAttentions(ModelOutput):
    """What the decoder returns."""

    last_hidden_state: Tensor | None = None
    """(batch, n, d_model)."""
    past_key_values: DecoderCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    """Of each layer, (batch, heads, n, cells)."""
    cross_attentions: tuple[Tensor, ...] | None = None
    """Of each layer, (batch, heads, n, n_audio_ctx)."""


@dataclass(eq=False)
class Seq2SeqModelOutput(ModelOutput):
    """What encoder and decoder return."""

    last_hidden_state: Tensor | None = None
    past_key_values: DecoderCache | None = None
    decoder_hidden_states: tuple[Tensor, ...] | None = None
    decoder_attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: tuple[Tensor, ...] | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class Seq2SeqLMOutput(ModelOutput):
    """What encoder, decoder and head return."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    """(batch, n, vocab_size)."""
    past_key_values: DecoderCache | None = None
    decoder_hidden_states: tuple[Tensor, ...] | None = None
    decoder_attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: tuple[Tensor, ...] | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class CausalLMOutputWithCrossAttentions(ModelOutput):
    """What decoder and head return."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: DecoderCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class SequenceClassifierOutput(ModelOutput):
    """What encoder and classifier return."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    """(batch, num_labels)."""
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


def as_encoder_output(given: BaseModelOutput | Iterable[Any]) -> BaseModelOutput:
    """Return `encoder_outputs` as a caller may give them: an output, or its fields in order."""
    if isinstance(given, BaseModelOutput):
        return given
    values = given.to_tuple() if isinstance(given, ModelOutput) else tuple(given)
    return BaseModelOutput(*values[:3])
