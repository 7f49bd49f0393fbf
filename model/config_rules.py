"""Which values the fields of a configuration may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model.errors import ModelError

if TYPE_CHECKING:
    from model.config import WhisperConfig

COUNTS = (
    "vocab_size", "num_mel_bins", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim",
    "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim", "max_source_positions", "max_target_positions",
    "classifier_proj_size", "mask_time_length", "mask_feature_length", "median_filter_width",
)  # fmt: skip
"""At least 1."""
SHARES = (
    "dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop", "decoder_layerdrop",
    "mask_time_prob", "mask_feature_prob",
)  # fmt: skip
"""From 0 to 1."""
FLAGS = (
    "use_cache", "is_encoder_decoder", "scale_embedding", "use_weighted_layer_sum", "apply_spec_augment",
    "tie_word_embeddings", "return_dict", "output_hidden_states", "output_attentions",
)  # fmt: skip
ACTIVATION_NAMES = (
    "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python", "gelu_python_tanh",
    "gelu_pytorch_tanh", "hardswish", "laplace", "leaky_relu", "linear", "mish", "quick_gelu", "relu", "relu2",
    "relu6", "sigmoid", "silu", "swish", "tanh",
)  # fmt: skip
"""The keys of `activations.ACTIVATIONS`, which imports torch."""
ATTENTIONS = ("sdpa", "eager")
NULLABLE = (
    "pad_token_id", "bos_token_id", "eos_token_id", "suppress_tokens", "begin_suppress_tokens", "architectures",
    "dtype", "problem_type", "attn_implementation",
)  # fmt: skip
"""Fields that may be None; any other is set to its default by None, which some files write for it."""


def checked(name: str, value: Any) -> Any:
    """Return the value a field is to have. Raises ModelError if it cannot, naming it."""
    if value is None:
        return None
    if name == "dtype":
        return as_dtype(value)
    if name == "id2label":
        return _labels(value)
    _refuse(name, value)
    return list(value) if isinstance(value, tuple) else value


def _refuse(name: str, value: Any) -> None:
    """Raise ModelError for a value that the field cannot have."""
    if name in COUNTS:
        _whole(name, value, least=1)
    elif name in ("mask_time_min_masks", "mask_feature_min_masks", "decoder_start_token_id", "chunk_size_feed_forward"):
        _whole(name, value, least=0)
    elif name in SHARES and not (_is_number(value) and 0 <= value <= 1):
        raise ModelError(f"config: {name} must be a number from 0 to 1, got {value!r}")
    elif name == "init_std" and not (_is_number(value) and value >= 0):
        raise ModelError(f"config: init_std must be a number of at least 0, got {value!r}")
    elif name in FLAGS and not isinstance(value, bool):
        raise ModelError(f"config: {name} must be true or false, got {value!r}")
    elif name == "activation_function" and value not in ACTIVATION_NAMES:
        raise ModelError(f"config: activation_function must be one of {', '.join(ACTIVATION_NAMES)}, got {value!r}")
    elif name == "attn_implementation" and value not in ATTENTIONS:
        raise ModelError(f"config: attn_implementation must be {' or '.join(ATTENTIONS)}, got {value!r}")


def check(config: WhisperConfig) -> None:
    """Refuse fields that do not go together."""
    for heads in ("encoder_attention_heads", "decoder_attention_heads"):
        if config.d_model % getattr(config, heads):
            raise ModelError(
                f"config: d_model must be divisible by {heads}, got {config.d_model} and {getattr(config, heads)}"
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ModelError(f"config: {name} must be a whole number of at least {least}, got {value!r}")


def _labels(value: Any) -> dict[int, str]:
    """Return the labels by number; JSON has made texts of the numbers."""
    try:
        return {int(index): label for index, label in value.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"config: id2label must name the labels by number, got {value!r}") from error


def as_dtype(value: Any) -> Any:
    """Return the torch.dtype of that name."""
    import torch  # noqa: PLC0415  # a configuration without one is read without torch

    dtype = getattr(torch, value.removeprefix("torch."), None) if isinstance(value, str) else value
    if not isinstance(dtype, torch.dtype):
        raise ModelError(f"config: dtype must be a type of torch such as float16, got {value!r}")
    return dtype
