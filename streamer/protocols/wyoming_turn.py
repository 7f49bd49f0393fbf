"""What is told of the audio up to one `audio-stop`: chunks as they are committed, then all of it as the transcript."""

from __future__ import annotations

from collections.abc import Iterator

from streamer.protocols.frames import Frame
from streamer.protocols.wyoming_events import WyomingEvent


class Turn:
    """One transcript in the making."""

    def __init__(self) -> None:
        self.language = ""
        """The last utterance's; empty as long as none is known."""
        self._text = ""
        self._utterance = 0
        self._started = False

    def tell(self, utterance: int, text: str) -> Iterator[WyomingEvent]:
        """Tell committed words of an utterance; between two utterances there is a space."""
        yield from self._start()
        if self._text and utterance != self._utterance:
            text = f" {text}"
        self._utterance = utterance
        self._text += text
        yield WyomingEvent("transcript-chunk", {"text": text})

    def end(self) -> Iterator[WyomingEvent]:
        """Tell the whole, which is what clients wait for that know no chunks."""
        yield from self._start()
        language: Frame = {"language": self.language} if self.language else {}
        yield WyomingEvent("transcript", {"text": self._text, **language})
        yield WyomingEvent("transcript-stop")

    def _start(self) -> Iterator[WyomingEvent]:
        if not self._started:
            self._started = True
            yield WyomingEvent("transcript-start")
