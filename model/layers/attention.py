"""Multi-head attention, in pieces that the encoder, the decoder and the alignment put together."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.layers.dropout import dropout
from model.layers.int8 import Int8Linear

MANY = 192
"""Positions from which keys and values are laid out head by head: audio has them, what is said does not."""


class WhisperAttention(nn.Module):
    """Multi-head attention in its pieces; keys have no bias, as released."""

    def __init__(self, d_model: int, n_heads: int, dropout: float = 0.0) -> None:
        """Raise nothing: the configuration has checked that heads divide d_model."""
        super().__init__()
        self.n_heads = n_heads
        self.head_dim = d_model // n_heads
        self.dropout = dropout
        """Share of the weights that training leaves out."""
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model)
        self.q_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        self.inference: torch.dtype | None = None
        """Type that what is projected together has, and `attend` computes in, where that is not the input's."""

    def split(self, x: Tensor) -> Tensor:
        """(batch, n, d_model) -> (batch, heads, n, head_dim)."""
        return x.view(*x.shape[:-1], self.n_heads, self.head_dim).transpose(1, 2)

    def queries(self, x: Tensor) -> Tensor:
        """Return (batch, heads, n, head_dim)."""
        return self.split(self.q_proj(x))

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values, each (batch, heads, n, head_dim)."""
        together = self._together("kv_proj", x, 2)
        if together is not None:
            k, v = together
            return k, v
        return self.split(self.k_proj(x)), self.split(self.v_proj(x))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of the same rows, as `queries` and `keys_values` do."""
        together = self._together("qkv_proj", x, 3)
        if together is None:
            return self.queries(x), *self.keys_values(x)
        q, k, v = together
        return q, k, v

    def _together(self, name: str, x: Tensor, count: int) -> tuple[Tensor, ...] | None:
        """Return what a linear layer made of several (`fusion.py`) says, one after the other; None if there is none."""
        layer = self._modules.get(name)
        if layer is None:
            return None
        if isinstance(layer, Int8Linear) and x.shape[1] > MANY and self.inference is None:
            # Head by head from the start: what is read again and again is read in one piece.
            parts = x.new_empty(count, len(x), self.n_heads, x.shape[1], self.head_dim)
            for row, rows in enumerate(x):
                layer.write(rows, parts[:, row].permute(2, 0, 1, 3))
            return tuple(parts.unbind())
        y = layer(x).to(self.inference or x.dtype).view(*x.shape[:-1], count, self.n_heads, self.head_dim)
        return tuple(y.permute(2, 0, 3, 1, 4).unbind())

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, causal: bool = False) -> Tensor:
        """Scaled dot-product attention, (batch, n, d_model); `mask` bool, True = may be seen, or added to scores."""
        dropped = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q.to(k.dtype), k, v, attn_mask=mask, dropout_p=dropped, is_causal=causal)
        return self.leave(mixed)

    def leave(self, mixed: Tensor) -> Tensor:
        """Return what the heads have mixed, (batch, heads, n, head_dim), as (batch, n, d_model)."""
        out: Tensor = self.out_proj(self._wide(mixed.transpose(1, 2).flatten(2)))
        return out

    def _wide(self, x: Tensor) -> Tensor:
        """Return what was narrowed to `inference` as the layers take it."""
        return x if self.inference is None else x.float()

    def weigh(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, causal: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Do the same step by step; return also the weights, (batch, heads, n, keys), as training has thinned them."""
        q, k, v = self._wide(q), self._wide(k), self._wide(v)
        scores = q * self.head_dim**-0.5 @ k.transpose(-1, -2)
        if causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        if mask is not None and mask.dtype == torch.bool:
            # The least number rather than minus infinity: a query that may see nothing must not become NaN.
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        elif mask is not None:
            scores = scores + mask
        weights = dropout(scores.softmax(dim=-1), self.dropout, training=self.training)
        out: Tensor = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        return out, weights
