"""One configuration with nothing left open, and its limits checked against the prompt."""

from __future__ import annotations

import copy
import warnings

from model.generation.checks import refuse_unsupported
from model.generation_config import GenerationConfig


def prepared(config: GenerationConfig, prompt_length: int) -> GenerationConfig:
    """Return a copy in which every field that is None means what `GenerationConfig.defaults` says.

    max_length and min_length come to include what max_new_tokens and min_new_tokens ask for. Raises ValueError if
    the prompt leaves no room, or for what cannot be done.
    """
    config = copy.deepcopy(config)
    by_default = config.max_length is None
    config.update(**GenerationConfig.defaults(), defaults_only=True)
    refuse_unsupported(config)
    assert config.max_length is not None
    if config.max_new_tokens is not None:
        config.max_length = prompt_length + config.max_new_tokens
    elif by_default:
        config.max_length += prompt_length
    if config.min_new_tokens is not None:
        config.min_length = prompt_length + config.min_new_tokens
    if prompt_length >= config.max_length:
        raise ValueError(
            f"decoder_input_ids must be shorter than max_length, {config.max_length}, got {prompt_length} tokens; "
            "raise max_length or set max_new_tokens"
        )
    if config.min_length is not None and config.min_length > config.max_length:
        warnings.warn(
            f"min_length, {config.min_length}, is more than max_length, {config.max_length}: rows end there",
            stacklevel=3,
        )
    return config
