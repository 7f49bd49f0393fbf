"""The language token: from a name, or from the audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from model.text.languages import ALIASES, LANGUAGES


def language_id(language: str, lang_to_id: Mapping[str, int]) -> int:
    """Return the token of a language given as token (`<|de|>`), code or English name, in any case.

    lang_to_id: the tokens of the checkpoint. Raises ValueError for what is no language, or none of the checkpoint's.
    """
    wanted = language.lower()
    if wanted in lang_to_id:
        return lang_to_id[wanted]
    codes = {name: code for code, name in LANGUAGES.items()} | dict(ALIASES)
    code = codes.get(wanted, wanted)
    if code not in LANGUAGES:
        allowed = LANGUAGES if len(wanted) == 2 else codes
        raise ValueError(f"Unsupported language: {language}. It must be one of {', '.join(allowed)}")
    token = f"<|{code}|>"
    if token not in lang_to_id:
        raise ValueError(f"the checkpoint has no language {token}; its lang_to_id has {', '.join(lang_to_id)}")
    return lang_to_id[token]


def likeliest_language(logits: Tensor, lang_to_id: Mapping[str, int]) -> Tensor:
    """Return the likeliest language token of each row, (batch,), for logits (batch, vocab_size)."""
    languages = torch.tensor(sorted(set(lang_to_id.values())), device=logits.device)
    return languages[logits[:, languages].argmax(dim=-1)]


def named_languages(language: str | Sequence[str], lang_to_id: Mapping[str, int], recordings: int) -> list[int]:
    """Return the language tokens of a batch, one for all or one for each recording.

    Raises TypeError for a list with None, ValueError for a list of another length.
    """
    if isinstance(language, str):
        return [language_id(language, lang_to_id)] * recordings
    if any(name is None for name in language):
        raise TypeError(f"language must be one name, or a list of a name for each recording, got {list(language)!r}")
    if len(language) != recordings:
        raise ValueError(
            f"a list of languages must have one for each recording of the batch, {recordings}, got {len(language)}"
        )
    return [language_id(name, lang_to_id) for name in language]
