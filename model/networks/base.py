"""What all networks have in common: a configuration, a device and type, a start, ties between weights."""

from __future__ import annotations

from collections.abc import Container
from typing import ClassVar

import torch
from torch import nn

from model.config import WhisperConfig
from model.layers.encoder import sinusoids

EMBEDDING = "decoder.embed_tokens.weight"
HEAD = "proj_out.weight"
"""Some files hold the tied head under its own name."""
POSITIONS = "encoder.embed_positions.weight"


class NetworkBase(nn.Module):
    """A network built from a `WhisperConfig`."""

    ADDED: ClassVar[tuple[str, ...]] = ()
    """Starts of the names of weights that a checkpoint of speech recognition does not have."""

    def __init__(self, config: WhisperConfig) -> None:
        """Keep the configuration."""
        super().__init__()
        self.config = config

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return next(self.parameters()).dtype

    def tie_weights(self) -> None:
        """Make one of the weights that are to be one; here there are none."""

    def num_parameters(self, *, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Count the numbers that weights hold; tied ones once."""
        left_out = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)} if exclude_embeddings else ()
        return sum(
            weight.numel()
            for weight in self.parameters()
            if id(weight) not in left_out and (weight.requires_grad or not only_trainable)
        )

    @torch.no_grad()
    def initialise(self, names: Container[str] | None = None) -> None:
        """Draw starting weights, all or those of these names, as the reference does.

        Normal with a deviation of `init_std`; biases and the padding token's embedding 0; norms 1.
        """
        for path, module in self.named_modules():
            for name, weight in module.named_parameters(recurse=False):
                full = f"{path}.{name}".removeprefix(".")
                if weight.is_meta or (names is not None and full not in names):
                    continue
                if full.endswith(POSITIONS):
                    weight.copy_(sinusoids(*weight.shape))
                elif name == "layer_weights":
                    weight.fill_(1.0 / weight.numel())
                elif name == "bias":
                    weight.zero_()
                elif isinstance(module, nn.LayerNorm):
                    weight.fill_(1.0)
                else:
                    weight.normal_(0.0, self.config.init_std)
                    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                        weight[module.padding_idx].zero_()
