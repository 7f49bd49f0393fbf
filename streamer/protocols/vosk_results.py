"""Events as Vosk's results: what is said so far of the utterance that goes on, and what is decided, once each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from model.types import SAMPLE_RATE, Word
from streamer.core import events
from streamer.protocols.frames import Frame
from streamer.protocols.plain import bare, plain
from streamer.protocols.vosk_options import Options


@dataclass(frozen=True, slots=True)
class Said:
    """Committed words, and their text as it is written."""

    text: str = ""
    words: tuple[Word, ...] = ()

    def then(self, text: str, words: Sequence[Word]) -> Said:
        """Return this with more after it."""
        return Said(self.text + text, (*self.words, *words))


class Results:
    """What has been decided and not been told yet, and what may still change; pulled, for nothing is told unasked."""

    def __init__(self, *, plain_text: bool) -> None:
        """`plain_text` takes capitals and punctuation off."""
        self._plain = plain_text
        self._decided: deque[Said] = deque()
        self._open = Said()
        self._tail = ""

    def receive(self, event: events.Event) -> None:
        """Take an event; utterances without a word leave nothing to tell."""
        match event:
            case events.Partial(text=text):
                self._tail = text
            case events.Commit(text=text, words=words):
                self._open, self._tail = self._open.then(text, words), ""
            case events.Final():
                if self._open.text:
                    self._decided.append(self._open)
                self._open, self._tail = Said(), ""
            case _:
                pass  # the protocol has no words for the rest

    @property
    def untold(self) -> bool:
        """Whether anything was decided that the client does not know."""
        return bool(self._decided or self._open.text)

    def newest(self, options: Options) -> Frame:
        """Return the oldest utterance that is decided, or, where there is none, what is heard of the one going on."""
        if self._decided:
            return self._result(self._decided.popleft(), options)
        return {"partial": self._text(self._open.text + self._tail)}

    def rest(self, options: Options) -> Frame:
        """Return everything that is decided as one result: at an end, clients read exactly one."""
        said = [*self._decided, self._open]
        self._decided.clear()
        self._open = Said()
        words = tuple(word for part in said for word in part.words)
        return self._result(Said(" ".join(part.text for part in said if part.text), words), options)

    def _result(self, said: Said, options: Options) -> Frame:
        words = [self._word(word) for word in said.words] if options.words else []
        text = self._text(said.text)
        if not options.alternatives:
            return {"result": words, "text": text} if words else {"text": text}
        for word in words:
            del word["conf"]
        sure = sum(word.probability for word in said.words) / len(said.words) if said.words else 0.0
        best: Frame = {"text": text, "confidence": round(sure, 4)}
        return {"alternatives": [{**best, "result": words} if words else best]}

    def _text(self, text: str) -> str:
        return plain(text) if self._plain else text.strip()

    def _word(self, word: Word) -> Frame:
        text = word.text.strip()
        return {
            "conf": round(word.probability, 4),
            "start": word.start / SAMPLE_RATE,
            "end": word.end / SAMPLE_RATE,
            "word": bare(text) if self._plain else text,
        }
