"""Multi-head attention, in pieces that the encoder, the decoder and the alignment put together."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class WhisperAttention(nn.Module):
    """Multi-head attention in its pieces; keys have no bias, as released."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        """Raise nothing: the configuration has checked that heads divide d_model."""
        super().__init__()
        self.n_heads = n_heads
        self.k_proj = nn.Linear(d_model, d_model, bias=False)
        self.v_proj = nn.Linear(d_model, d_model)
        self.q_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def split(self, x: Tensor) -> Tensor:
        """(batch, n, d_model) -> (batch, heads, n, head_dim)."""
        return x.view(*x.shape[:-1], self.n_heads, -1).transpose(1, 2)

    def queries(self, x: Tensor) -> Tensor:
        """Return (batch, heads, n, head_dim)."""
        return self.split(self.q_proj(x))

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values, each (batch, heads, n, head_dim)."""
        return self.split(self.k_proj(x)), self.split(self.v_proj(x))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, causal: bool = False) -> Tensor:
        """Scaled dot-product attention, (batch, n, d_model); `mask` bool, True = may be seen."""
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out
