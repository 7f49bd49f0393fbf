"""How many tokens a language takes for what others say in one: limits on text have to know.

Whisper's vocabulary was made from text that is mostly English; scripts it saw little of fall apart into bytes. The
first article of the Universal Declaration of Human Rights, read aloud in about 12 s in any language, makes tokens a
second: English 3, German, Chinese and Russian 4, Arabic 5, Japanese 7, Greek 8, Thai 10, Armenian 15, Hindi and Tamil
17, Amharic 21, Bengali 28, Georgian 35, Burmese 60.
"""

from __future__ import annotations

DENSE = frozenset({"ar", "el", "fa", "he", "ja", "ko", "ps", "sd", "th", "ur", "vi"})
"""About twice to three times the tokens of English."""
VERY_DENSE = frozenset(
    {"am", "as", "bn", "bo", "gu", "hi", "hy", "ka", "km", "kn", "lo", "ml", "mr", "my", "ne", "pa", "sa", "si", "ta"}
    | {"te", "yi"}
)
"""About five to twelve times, and the more the rarer."""


def token_density(language: str | None) -> int:
    """Return by what limits on tokens made for English are to be multiplied for a language; None is English."""
    if language in VERY_DENSE:
        return 6
    return 2 if language in DENSE else 1
