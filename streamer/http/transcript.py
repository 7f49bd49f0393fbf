"""What was recognised in a recording so far: words in order, with what is known of the decodes they come from. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from unicodedata import east_asian_width

from model.types import Hypothesis, Segment, Word
from streamer.core.formats import Transcript


@dataclass(frozen=True, slots=True)
class Passage:
    """Words between two timestamps, and the decode that they come from."""

    segment: Segment
    hypothesis: Hypothesis

    @property
    def text(self) -> str:
        """Its words as decoded."""
        return "".join(word.text for word in self.segment.words)


class GrowingTranscript:
    """Takes committed words; its text only grows."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.passages: list[Passage] = []
        self.text = ""
        """Everything, without white space before it."""
        self._languages: Counter[str] = Counter()

    @property
    def language(self) -> str:
        """Code of the language that most of the speech is in; empty if there is none."""
        return max(self._languages, key=lambda code: self._languages[code], default="")

    @property
    def words(self) -> Iterator[Word]:
        """All words in order."""
        return (word for passage in self.passages for word in passage.segment.words)

    def add(self, words: Sequence[Word], hypothesis: Hypothesis) -> str:
        """Take the words that a hypothesis had committed, its first ones; return what the text grew by."""
        grown = len(self.text)
        for segment in divided(words, hypothesis.segments):
            first, *rest = segment.words
            if self.text and not joins(self.text, first.text):
                first = replace(first, text=f" {first.text}")
            passage = Passage(replace(segment, words=(first, *rest)), hypothesis)
            self.passages.append(passage)
            self.text += passage.text if self.text else passage.text.lstrip()
            self._languages[hypothesis.language] += segment.words[-1].end - first.start
        return self.text[grown:]

    def complete(self, duration: int) -> Transcript:
        """Return it as a whole; `duration` of the recording in samples."""
        return Transcript(tuple(passage.segment for passage in self.passages), self.language, duration)


def divided(words: Sequence[Word], segments: Sequence[Segment]) -> Iterator[Segment]:
    """Divide committed words, whose times may have been moved, as the hypothesis divides them."""
    at = 0
    for segment in segments:
        part = tuple(words[at : at + len(segment.words)])
        at += len(part)
        if part:
            end = part[-1].end
            if len(part) == len(segment.words):
                end = max(segment.end or 0, end)
            yield Segment(min(segment.start, part[0].start), end, part)


def joins(before: str, after: str) -> bool:
    """Say whether two pieces of text can stand together: one has white space, or the script needs none."""
    wide = all(east_asian_width(character) in "WF" for character in (before[-1], after[:1] or " "))
    return wide or before[-1].isspace() or after[:1].isspace()
