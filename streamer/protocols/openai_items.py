"""Utterances as items of OpenAI's realtime conversation.

Theory of operation. An item is what lies between two commits. With server turn detection the end of an utterance is a
commit, so that an item is an utterance; without, the client commits, and an item holds every utterance since the commit
before. Text is told as it is decided (deltas, which only append), also before the item is committed. An item is
`completed` once it is committed and all its utterances are decided; items are completed in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log

from model.types import SAMPLE_RATE, Word
from streamer.core import events
from streamer.protocols.frames import Frame

LEAST_AUDIO = SAMPLE_RATE // 10
"""Samples that a commit needs: 100 ms."""
TRANSCRIPTION = "conversation.item.input_audio_transcription"
LEAST_PROBABILITY = 1e-10


@dataclass(slots=True)
class Item:
    """One item, from its first sample to its transcript."""

    id: str
    start: int
    text: str = ""
    words: list[Word] = field(default_factory=list)
    undecided: set[int] = field(default_factory=set)
    """Utterances whose text is not final."""
    speaking: int | None = None
    """The utterance whose text came last."""
    samples: int = 0
    language: str = ""
    failure: str = ""


class Conversation:
    """The items of one session; changed by events only, in their order."""

    def __init__(self, session: str) -> None:
        self.manual = False
        """Whether only the client commits."""
        self.committing = False
        """Whether a client's commit is being carried out: the turn then ends without speech_stopped."""
        self.beta = False
        self.logprobs = False
        self._session = session
        self._count = 0
        self._last: str | None = None
        self._open: Item | None = None
        self._items: dict[int, Item] = {}
        self._waiting: deque[Item] = deque()
        self._base = 0

    def receive(self, event: events.Event) -> Iterator[Frame]:
        """Yield what an event means for the items; most others mean nothing here."""
        match event:
            case events.SpeechStarted(utterance, start):
                yield from self._start(utterance, start)
            case events.Commit():
                yield from self._append(event)
            case events.SpeechEnded(utterance, end):
                yield from self._stop(utterance, end if event.audio_end is None else event.audio_end)
            case events.Gap(reason=reason) if self._items:
                self._items[min(self._items)].failure = reason
            case events.Final(utterance, language=language):
                yield from self._decide(utterance, language)

    def commit(self, at: int) -> Iterator[Frame]:
        """Carry out a commit of everything before sample `at`. Yields nothing if there is not enough."""
        if self._open is not None or at - self._base >= LEAST_AUDIO:
            yield from self._commit(at)

    def clear(self, at: int) -> Iterator[Frame]:
        """Drop what is not committed."""
        if self._open is not None:
            for utterance in self._open.undecided:
                del self._items[utterance]
        self._open = None
        self._base = at
        yield {"type": "input_audio_buffer.cleared"}

    def _start(self, utterance: int, start: int) -> Iterator[Frame]:
        if self._open is None:
            self._open = self._new_item(start)
        self._open.undecided.add(utterance)
        self._items[utterance] = self._open
        if not (self.manual or self.committing):
            began = {"type": "input_audio_buffer.speech_started", "audio_start_ms": milliseconds(start)}
            yield {**began, "item_id": self._open.id}

    def _append(self, commit: events.Commit) -> Iterator[Frame]:
        item = self._items.get(commit.utterance)
        if item is None:  # it was cleared
            return
        joint = " " if item.text and item.speaking != commit.utterance and not commit.text.startswith(" ") else ""
        item.speaking = commit.utterance
        item.text += joint + commit.text
        delta = {"type": f"{TRANSCRIPTION}.delta", "item_id": item.id, "content_index": 0, "delta": joint + commit.text}
        if self.logprobs:
            item.words.extend(commit.words)
            delta["logprobs"] = [logprob(word) for word in commit.words]
        yield delta

    def _stop(self, utterance: int, at: int) -> Iterator[Frame]:
        if self.manual or self.committing or self._open is None or self._items.get(utterance) is not self._open:
            return
        ended = {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": milliseconds(at)}
        yield {**ended, "item_id": self._open.id}
        yield from self._commit(at)

    def _commit(self, at: int) -> Iterator[Frame]:
        """Close the open item, or one without speech, at sample `at`."""
        item = self._open or self._new_item(self._base)
        item.samples = max(0, at - (self._base if self.manual else item.start))
        self._open, self._base = None, at
        self._waiting.append(item)
        previous, self._last = self._last, item.id
        yield {"type": "input_audio_buffer.committed", "item_id": item.id, "previous_item_id": previous}
        content = [{"type": "input_audio", "transcript": None}]
        told = {"id": item.id, "object": "realtime.item", "type": "message", "status": "completed"}
        message = {"previous_item_id": previous, "item": {**told, "role": "user", "content": content}}
        for step in ("created",) if self.beta else ("added", "done"):
            yield {"type": f"conversation.item.{step}", **message}
        yield from self._settle()

    def _decide(self, utterance: int, language: str) -> Iterator[Frame]:
        item = self._items.pop(utterance, None)
        if item is not None:
            item.undecided.remove(utterance)
            item.language = language or item.language
            yield from self._settle()

    def _settle(self) -> Iterator[Frame]:
        """Complete the oldest items, as far as they are decided."""
        while self._waiting and not self._waiting[0].undecided:
            item = self._waiting.popleft()
            place = {"item_id": item.id, "content_index": 0}
            if item.failure and not item.text:
                error = {"type": "server_error", "code": "transcription_failed", "message": item.failure, "param": None}
                yield {"type": f"{TRANSCRIPTION}.failed", **place, "error": error}
            else:
                yield {"type": f"{TRANSCRIPTION}.completed", **place, **self._transcript(item)}

    def _transcript(self, item: Item) -> Frame:
        transcript: Frame = {
            "transcript": item.text,
            "usage": {"type": "duration", "seconds": item.samples / SAMPLE_RATE},
        }
        if item.language:
            transcript["languages"] = [{"code": item.language}]
        if self.logprobs:
            transcript["logprobs"] = [logprob(word) for word in item.words]
        return transcript

    def _new_item(self, start: int) -> Item:
        self._count += 1
        return Item(f"item_{self._session}_{self._count}", start)


def milliseconds(samples: int) -> int:
    """Return a number of samples as whole milliseconds."""
    return samples * 1_000 // SAMPLE_RATE


def logprob(word: Word) -> Frame:
    """Return a word as a token with its log-probability: the mean over the tokens it consists of."""
    probability = max(word.probability, LEAST_PROBABILITY)
    return {"token": word.text, "logprob": round(log(probability), 6), "bytes": list(word.text.encode())}
