"""What a pass through layers leaves behind for who asked: hidden states and weights of the attention."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(slots=True)
class Traces:
    """Kept layer by layer; a layer that training leaves out leaves nothing."""

    hidden: list[Tensor] | None = None
    """What went into the first layer, then what came out of each; None if nobody asked."""
    attention: list[Tensor] | None = None
    """Weights of the self-attention; None if nobody asked."""
    cross: dict[int, Tensor] = field(default_factory=dict)
    """Weights of the cross-attention by layer, of those heads that were asked for."""

    @classmethod
    def wanted(cls, *, hidden_states: bool, attentions: bool) -> Traces:
        """Start with what is to be kept."""
        return cls([] if hidden_states else None, [] if attentions else None)

    def keep(self, layer: int, before: Tensor, after: Tensor, text: Tensor | None, cross: Tensor | None = None) -> None:
        """Note what a layer was given, made of it, and looked at."""
        if self.hidden is not None:
            self.hidden += [after] if self.hidden else [before, after]
        if self.attention is not None and text is not None:
            self.attention.append(text)
        if cross is not None:
            self.cross[layer] = cross

    def hidden_states(self, last: Tensor) -> tuple[Tensor, ...] | None:
        """Return them with the output, after its norm, for what came out of the last layer."""
        return None if self.hidden is None else (*self.hidden[:-1], last)

    def attentions(self) -> tuple[Tensor, ...] | None:
        """Return the weights of each layer's self-attention."""
        return None if self.attention is None else tuple(self.attention)

    def cross_attentions(self) -> tuple[Tensor, ...] | None:
        """Return the weights of each layer's cross-attention."""
        return None if self.attention is None else tuple(self.cross.values())
