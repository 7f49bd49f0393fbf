"""Text as word error rates are counted on it: without case, punctuation, fillers and ways of spelling.

The rules are those of Radford et al. 2022, appendix C, as the whisper-normalizer package keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from whisper_normalizer import basic, english


class BasicTextNormalizer(basic.BasicTextNormalizer):  # type: ignore[misc]  # the package is untyped
    """Any language: lower case, nothing in brackets, no punctuation.

    remove_diacritics: also write letters without their marks; split_letters: put a space between characters.
    """

    def __init__(self, remove_diacritics: bool = False, split_letters: bool = False) -> None:
        super().__init__(remove_diacritics, split_letters)


class EnglishTextNormalizer(english.EnglishTextNormalizer):  # type: ignore[misc]  # the package is untyped
    """English: contractions and titles written out, numbers in figures, American spelling."""

    def __init__(self, english_spelling_mapping: Mapping[str, str] | None = None) -> None:
        """english_spelling_mapping: British to American, `normalizer.json` of a checkpoint; None for openai's own."""
        super().__init__()
        if english_spelling_mapping is not None:
            self.standardize_spellings.mapping = dict(english_spelling_mapping)


@cache
def default_english() -> EnglishTextNormalizer:
    """Return the normalizer with openai's spelling list."""
    return EnglishTextNormalizer()
