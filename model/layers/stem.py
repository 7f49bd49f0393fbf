"""The encoder's second convolution in int8: each output position is a linear function of three input positions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from model.layers.int8 import Int8Linear

TAPS, STRIDE = 3, 2


class Int8Convolution(nn.Module):
    """Stands for the `nn.Conv1d` of three taps, stride two and padding one."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        """Quantise its weight. Raises ValueError for another shape of convolution."""
        super().__init__()
        if (convolution.kernel_size, convolution.stride, convolution.padding) != ((TAPS,), (STRIDE,), (1,)):
            raise ValueError(
                f"only a convolution of {TAPS} taps, stride {STRIDE} and padding 1 can be, got {convolution}"
            )
        weight = convolution.weight.detach().transpose(1, 2).flatten(1)
        bias = None if convolution.bias is None else convolution.bias.detach()
        self.linear = Int8Linear(weight, bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames) -> (batch, n, frames / 2), rounded up."""
        batch, channels, frames = x.shape
        count = (frames - 1) // STRIDE + 1
        rows = F.pad(x.transpose(1, 2), (0, 0, 1, 1))
        windows = rows.as_strided(
            (batch, count, TAPS * channels), (rows.stride(0), STRIDE * channels, 1)
        )  # neighbours overlap by one frame: read only
        out: Tensor = self.linear(windows)
        return out.transpose(1, 2)
