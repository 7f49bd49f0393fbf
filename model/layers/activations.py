"""The functions between the two halves of a feed-forward network, by the names of `activation_function`."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

Activation: TypeAlias = Callable[[Tensor], Tensor]


def _gelu_erf(x: Tensor) -> Tensor:
    """Hendrycks & Gimpel 2016, by the error function, step by step."""
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def _gelu_tanh(x: Tensor) -> Tensor:
    """Its approximation by the hyperbolic tangent, step by step."""
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _gelu_tanh_fused(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _gelu_fast(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)))


def _gelu_clipped(x: Tensor) -> Tensor:
    return F.gelu(x).clip(-10, 10)


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _laplace(x: Tensor) -> Tensor:
    """Ma et al. 2022 (MEGA), with its mean and deviation."""
    return 0.5 * (1.0 + torch.erf((x - 0.707107) / (0.282095 * math.sqrt(2.0))))


def _relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _linear(x: Tensor) -> Tensor:
    return x


ACTIVATIONS: MappingProxyType[str, Activation] = MappingProxyType(
    {
        "gelu": F.gelu,
        "gelu_10": _gelu_clipped,
        "gelu_accurate": _gelu_tanh,
        "gelu_fast": _gelu_fast,
        "gelu_new": _gelu_tanh,
        "gelu_python": _gelu_erf,
        "gelu_python_tanh": _gelu_tanh,
        "gelu_pytorch_tanh": _gelu_tanh_fused,
        "hardswish": F.hardswish,
        "laplace": _laplace,
        "leaky_relu": F.leaky_relu,
        "linear": _linear,
        "mish": F.mish,
        "quick_gelu": _quick_gelu,
        "relu": F.relu,
        "relu2": _relu_squared,
        "relu6": F.relu6,
        "sigmoid": torch.sigmoid,
        "silu": F.silu,
        "swish": F.silu,
        "tanh": torch.tanh,
    }
)
"""All that the reference has but `prelu` and `xielu`, which carry weights that no checkpoint of Whisper has."""
