"""The position-wise network of a layer, the same in encoder and decoder.

Source: Radford et al. 2022, section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from model.layers.dropout import dropout


class FeedForward(nn.Module):
    """What both kinds of layer are besides their attention; they make the parts, for the order of parts is theirs."""

    dropout: float
    activation_dropout: float
    activation: Callable[[Tensor], Tensor]
    fc1: nn.Module
    fc2: nn.Module
    final_layer_norm: nn.LayerNorm

    def feed_forward(self, x: Tensor) -> Tensor:
        """Apply the network to each position, behind a layer norm and beside a residual; the shape stays."""
        inner = self.activation(self.fc1(self.final_layer_norm(x)))
        inner = self.fc2(dropout(inner, self.activation_dropout, training=self.training))
        return x + dropout(inner, self.dropout, training=self.training)
