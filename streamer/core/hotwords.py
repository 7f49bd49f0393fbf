"""Words a client expects, made into text before the first word: the decoder spells as it has read.

They end what the client said about the audio, which comes before the text said so far: a list that stood last, right
before the audio, would be continued. Written as a sentence, since a prompt is taken for speech.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def with_hotwords(context: str, hotwords: Iterable[str]) -> str:
    """Return what a client said about its audio with the words it expects after it."""
    words = list(dict.fromkeys(stripped for word in hotwords if (stripped := " ".join(word.split()))))
    return " ".join(part for part in (context.strip(), f"{', '.join(words)}." if words else "") if part)


def fitting(words: Iterable[str], characters: int) -> Iterator[str]:
    """Yield the first words, as many as make a text of so many characters."""
    for word in words:
        characters -= len(word) + len(", ")
        if characters < 0:
            return
        yield word
