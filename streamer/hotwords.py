"""Words a client expects, made into text before the first word: the decoder spells as it has read.

They end what the client said about the audio, which comes before the text said so far: a list that stood last, right
before the audio, would be continued. Written as a sentence, since a prompt is taken for speech.
"""

from __future__ import annotations

from collections.abc import Sequence


def with_hotwords(context: str, hotwords: Sequence[str]) -> str:
    """Return what a client said about its audio with the words it expects after it."""
    words = list(dict.fromkeys(stripped for word in hotwords if (stripped := " ".join(word.split()))))
    return " ".join(part for part in (context.strip(), f"{', '.join(words)}." if words else "") if part)
