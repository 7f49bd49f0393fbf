"""A linear layer in int8: weights quantised once, inputs row by row as they come.

Theory of operation. Each output channel of the weight and each input row has a scale of its own, the largest magnitude
in it standing for 127; the product is of whole numbers and exact; scale and bias come on afterwards in float32. Since
a row's scale depends on that row alone and sums of whole numbers do not depend on their order, a row comes out the same
to the bit, whatever rows are computed with it: batches, drafts and single steps agree, which float32 products do not.

Two kernels of torch compute the same numbers: oneDNN's, which is far ahead for many rows (it uses VNNI and AMX), and
FBGEMM's, which starts sooner and rounds the input by itself, for the few rows of a decoding step. The second is used
where torch has it. What is around the product is as few operations as will do: for a few rows they cost as much as it.

Source: Dettmers et al. 2022, "LLM.int8()", section 2.1, vector-wise quantisation; oneDNN's int8 inference guide for the
7 bits of processors without VNNI, whose sums of two products are of 16 bits and saturate.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEW, FEW_WITHOUT_VNNI = 4, 64
"""Rows up to which FBGEMM's kernel is the faster one. With VNNI 47 against 54 us at 4 rows of 512 to 1536, 92, 66 at
12; without, all products of a pass of base took 0.68 of the time at 7 rows, 0.77 at 28 (AVX-512), 0.51 at 26, 0.80 at
64 (AVX2)."""
CHUNK, CHUNK_WITHOUT_VNNI = 192, 512
"""Rows computed at a time. With VNNI few enough that what is between the steps stays in the second-level cache;
without, the product is most of the work and is faster with more rows."""
WEIGHT_LEVEL = 127
"""Largest magnitude of a quantised weight."""
SMALLEST = 1e-30
"""Least scale, so that a row of zeros is not divided by zero."""


class Int8Rows(NamedTuple):
    """Rows of numbers in int8."""

    values: Tensor
    """(m, k) uint8, the zero point for zero."""
    scale: Tensor
    """(m, 1) float32: what a step of each row is worth."""


def has_vnni() -> bool:
    """Return whether the processor sums products of int8 in 32 bits."""
    return torch.cpu._is_vnni_supported()  # noqa: SLF001  # no public way to ask


def input_level() -> int:
    """Return the largest magnitude of a quantised input: 127, or 63 on x86 without VNNI, where more would saturate."""
    return 127 if has_vnni() else 63


class Int8Linear(nn.Module):
    """Stands for an `nn.Linear` on a CPU, for inference only; its weight cannot be had back."""

    bias: Tensor | None
    scale: Tensor
    """(n,) float32: what a step of each output channel's weight is worth."""
    zero_points: Tensor
    least: Tensor
    """Least scale of an input."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, steps: bool = False) -> None:
        """weight: (n, k), bias: (n,), of any floating type; steps: whether it is also used for single rows.

        For single rows the weight is kept in FBGEMM's order as well. Raises RuntimeError where torch has no kernel.
        """
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.level = input_level()
        self.zero_point = self.level + 1
        self.few = FEW if has_vnni() else FEW_WITHOUT_VNNI
        self.chunk = CHUNK if has_vnni() else CHUNK_WITHOUT_VNNI
        weight = weight.float()
        scale = (weight.abs().amax(dim=1) / WEIGHT_LEVEL).clamp_(min=SMALLEST)
        whole = (weight / scale[:, None]).round_().to(torch.int8)
        self.register_buffer("bias", None if bias is None else bias.detach().float().clone(), persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("zero_points", torch.zeros(len(weight), dtype=torch.int32), persistent=False)
        self.register_buffer("least", torch.tensor(SMALLEST), persistent=False)
        self._packed = torch.ops.onednn.qlinear_prepack(whole, [self.chunk, self.in_features])
        self._packed_for_few = _pack_for_few(whole, scale) if steps else None

    def extra_repr(self) -> str:
        """Describe it as `nn.Linear` does."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def quantise(self, x: Tensor) -> Int8Rows:
        """(m, k) float32 -> the same in int8."""
        # Largest and least rather than the largest magnitude, which would be written to memory first.
        scale = self._steps(torch.maximum(x.amax(dim=1, keepdim=True), x.amin(dim=1, keepdim=True).neg_()))
        # Signed first, then around the corner: torch casts to int8 several times faster than to uint8.
        signed = (x / scale).round_().to(torch.int8)
        return Int8Rows(signed.view(torch.uint8).add_(self.zero_point), scale)

    def forward(self, x: Tensor) -> Tensor:
        """(..., k) -> (..., n), float32."""
        rows = x.reshape(-1, self.in_features)
        if len(rows) <= self.few and self._packed_for_few is not None:
            out = self._few(rows)
        elif len(rows) <= self.chunk:
            out = self._many(rows)
        else:
            out = rows.new_empty(len(rows), self.out_features)
            self.write(rows, out)
        return out.view(*x.shape[:-1], self.out_features)

    def write(self, rows: Tensor, out: Tensor) -> None:
        """Put the output of (m, k) rows where it is wanted; out: (m, ...), n numbers a row in any layout."""
        size = self.share(len(rows))
        for part, place in zip(torch.split(rows, size), torch.split(out, size), strict=True):
            self._many(part, place)

    def share(self, rows: int) -> int:
        """Return how many of so many rows to compute at a time: no more than a chunk, and as evenly as can be."""
        return math.ceil(rows / math.ceil(rows / self.chunk)) if rows else 1

    def _steps(self, largest: Tensor) -> Tensor:
        """Return what a step of each row is worth, from its largest magnitude; (m, 1) both."""
        return torch.add(self.least, largest, alpha=1 / self.level)

    def _many(self, rows: Tensor, out: Tensor | None = None) -> Tensor:
        """Multiply by oneDNN."""
        values, scale = self.quantise(rows)
        product: Tensor = torch.ops.onednn.qlinear_pointwise.default(
            values, 1.0, self.zero_point, self._packed, self.scale, self.zero_points,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        # Two steps: torch's addcmul with both factors spread is six times slower.
        product.mul_(scale)
        if out is None:
            return product if self.bias is None else product.add_(self.bias)
        product = product.view(out.shape)
        return out.copy_(product) if self.bias is None else torch.add(product, self.bias.view(out.shape[1:]), out=out)

    def _few(self, rows: Tensor) -> Tensor:
        """Multiply by FBGEMM, whose kernel rounds the input itself."""
        scale = self._steps(rows.abs().amax(dim=1, keepdim=True))
        product: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default(
            rows / scale, 1.0, self.zero_point, self._packed_for_few
        )
        product.mul_(scale)
        return product if self.bias is None else product.add_(self.bias)


def _pack_for_few(whole: Tensor, scale: Tensor) -> torch.ScriptObject | None:
    """Return a weight in FBGEMM's order, or None where torch does not have what it takes."""
    engines = torch.backends.quantized.supported_engines
    if "fbgemm" not in engines or not hasattr(torch.ops.quantized, "linear_with_input_q_dq_qweight_dq_output_fp32"):
        return None
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = "fbgemm"
    try:
        with warnings.catch_warnings():
            # Tensors of quantised types are going to leave torch; until then this is the way to pack.
            warnings.simplefilter("ignore", UserWarning)
            zeros = torch.zeros(len(whole), dtype=torch.long)
            typed = torch._make_per_channel_quantized_tensor(whole, scale.double(), zeros, 0)  # noqa: SLF001  # as above
            packed: torch.ScriptObject = torch.ops.quantized.linear_prepack(typed, None)
            return packed
    finally:
        torch.backends.quantized.engine = before


def int8_obstacle() -> str:
    """Return why this machine's torch cannot multiply in int8, empty if it can: found out by trying."""
    weight = torch.tensor([[127.0, -64.0], [1.0, 127.0]])
    x = torch.tensor([[127.0, 2.0], [-5.0, 63.0]])
    try:
        found = Int8Linear(weight)(x)
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        return f"torch {torch.__version__} has no int8 product here ({str(error).splitlines()[0]})"
    if not torch.allclose(found, F.linear(x, weight), rtol=0.05, atol=200.0):
        return f"torch {torch.__version__} multiplies wrongly in int8 here"
    return ""
