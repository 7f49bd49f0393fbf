"""Where a transcript starts: its language named or heard, then its first tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model.generation.language import likeliest_language, named_languages
from model.generation.prompts import forced_start, start_token, start_tokens
from model.generation.windows import AudioWindows
from model.generation_config import GenerationConfig

if TYPE_CHECKING:
    from model.whisper import WhisperForConditionalGeneration


def start_of_transcripts(
    network: WhisperForConditionalGeneration, config: GenerationConfig, audio: AudioWindows
) -> Tensor:
    """Return the tokens from start of transcript to the first that is generated, (recordings, n) long."""
    start = forced_start(config, network.config)
    language = getattr(config, "language", None)
    named: list[int] | list[None]
    if language is not None:
        named = named_languages(language, config.lang_to_id, audio.recordings)
    elif hasattr(config, "lang_to_id") and (len(start) == 1 or start[1] is None):
        named = detected_languages(network, config, audio).tolist()
    else:
        named = [None] * audio.recordings
    rows = [start_tokens(config, start, token, given=language is not None) for token in named]
    return torch.tensor(rows, device=network.device)


def detected_languages(
    network: WhisperForConditionalGeneration, config: GenerationConfig, audio: AudioWindows
) -> Tensor:
    """Return the likeliest language token of each recording, (recordings,) long, by its first window.

    Raises ValueError for a checkpoint without languages.
    """
    if not getattr(config, "lang_to_id", None):
        raise ValueError("languages cannot be detected: the generation configuration has no lang_to_id")
    start = torch.full((audio.recordings, 1), start_token(config), device=network.device)
    heard = audio.beginnings()
    output = network(encoder_outputs=heard, decoder_input_ids=start, use_cache=False, return_dict=True)
    return likeliest_language(output.logits[:, -1], config.lang_to_id)
