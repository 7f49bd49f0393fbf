"""Events as Deepgram's results.

Theory of operation. A cursor is where the final text ends; every result begins there. Commits are final results. The
last words of an utterance must say that they are the last (`speech_final`, `from_finalize`), and the event that tells
it comes after them: once the audio of an utterance is complete, its commits are held back until the next event says
which they are. An UtteranceEnd is told when the words' times leave a gap, by the clock of the audio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from model.types import SAMPLE_RATE, Word
from streamer.core import events
from streamer.protocols.frames import Frame
from streamer.protocols.plain import bare, plain


@dataclass(frozen=True, slots=True)
class Result:
    """Final words on their way to the client."""

    text: str
    words: tuple[Word, ...]
    end: int
    speech_final: bool = False
    from_finalize: bool = False
    language: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client wants to be told."""

    interim: bool
    plain: bool
    endpointing: bool
    utterance_end: int | None
    """Samples."""
    onset: int
    """Samples that speech may have been going on for before it is said to have begun."""
    vad_events: bool


class Results:
    """What has been told, and what must be told next; changed by events only, in their order."""

    def __init__(self, wanted: Wanted, metadata: Frame, channel: tuple[int, int]) -> None:
        """`metadata` goes with every result, `channel` with every message: which it is, and of how many."""
        self._wanted = wanted
        self._metadata = metadata
        self._channel = list(channel)
        self._cursor = 0
        self._held: Result | None = None
        self._begun: dict[int, int] = {}
        self._complete: set[int] = set()
        self._finalizing = 0
        self._heard = 0
        self._last_word_end: int | None = None

    def receive(self, event: events.Event) -> Iterator[Frame]:
        """Yield what an event means; warnings, gaps and the like have no message."""
        match event:
            case events.SpeechStarted(utterance, start):
                yield from self._start(utterance, start)
            case events.Partial(text=text, start=start, end=end) if self._wanted.interim:
                yield from self._release()
                yield from self._utterance_end(start if text else None)
                yield self._result(Result(text.strip(), (), max(end, self._cursor)), is_final=False)
            case events.Commit():
                yield from self._commit(event)
            case events.SpeechEnded(utterance):
                self._complete.add(utterance)
            case events.Final(utterance=utterance):
                yield from self._finish(utterance, event)
            case events.Flushed():
                self._finalizing -= 1
                result = self._held or Result("", (), self._cursor)
                self._held = replace(result, from_finalize=True)
                yield from self._release()
            case events.Done():
                yield from self._release()

    def finalize(self, at: int) -> Iterator[Frame]:
        """Note that everything before sample `at` was asked for."""
        self._heard = at
        self._finalizing += 1
        yield from ()

    def tick(self, at: int) -> Iterator[Frame]:
        """Note that the audio has come to sample `at`."""
        self._heard = at
        yield from self._utterance_end()

    def _start(self, utterance: int, start: int) -> Iterator[Frame]:
        self._begun[utterance] = start
        yield from self._utterance_end()
        if self._wanted.vad_events:
            yield {"type": "SpeechStarted", "channel": self._channel, "timestamp": start / SAMPLE_RATE}

    def _commit(self, commit: events.Commit) -> Iterator[Frame]:
        yield from self._release()
        self._held = Result(commit.text.strip(), commit.words, commit.end)
        if commit.utterance not in self._complete:
            yield from self._release()

    def _finish(self, utterance: int, final: events.Final) -> Iterator[Frame]:
        """End an utterance: its last words say so, or an empty result does."""
        self._complete.discard(utterance)
        self._begun.pop(utterance, None)
        ends = self._wanted.endpointing or self._finalizing > 0
        if self._held is not None or ends:
            result = self._held or Result("", (), final.end)
            end = max(result.end, final.end)
            self._held = replace(result, end=end, speech_final=ends, language=final.language)
        if not self._finalizing:
            yield from self._release()
        yield from self._utterance_end()

    def _release(self) -> Iterator[Frame]:
        """Tell what was held back."""
        result, self._held = self._held, None
        if result is not None:
            if result.words:
                yield from self._utterance_end(result.words[0].start)
                self._last_word_end = result.words[-1].end
            yield self._result(result, is_final=True)
            self._cursor = max(self._cursor, result.end)

    def _utterance_end(self, word: int | None = None) -> Iterator[Frame]:
        """Tell the end of an utterance if no word came for long enough before `word`, or before what is not decided."""
        gap, last = self._wanted.utterance_end, self._last_word_end
        if gap is None or last is None or self._held is not None:
            return
        undecided = min(self._begun.values(), default=self._heard - self._wanted.onset)
        if (undecided if word is None else word) - last >= gap:
            self._last_word_end = None
            yield {"type": "UtteranceEnd", "channel": self._channel, "last_word_end": last / SAMPLE_RATE}

    def _result(self, result: Result, *, is_final: bool) -> Frame:
        words = [self._word(word) for word in result.words]
        # Not the words' own text put together: "3.14" may be two words, and some languages have no spaces.
        text = plain(result.text) if self._wanted.plain else result.text
        confidence = sum(word.probability for word in result.words) / len(words) if words else 0.0
        best: Frame = {"transcript": text, "confidence": round(confidence, 4), "words": words}
        if result.language:
            best["languages"] = [result.language]
        return {
            "type": "Results",
            "channel_index": self._channel,
            "start": self._cursor / SAMPLE_RATE,
            "duration": max(0, result.end - self._cursor) / SAMPLE_RATE,
            "is_final": is_final,
            "speech_final": result.speech_final,
            "from_finalize": result.from_finalize,
            "channel": {"alternatives": [best]},
            "metadata": self._metadata,
        }

    def _word(self, word: Word) -> Frame:
        text = word.text.strip()
        raw = bare(text)
        return {
            "word": raw,
            "start": word.start / SAMPLE_RATE,
            "end": word.end / SAMPLE_RATE,
            "confidence": round(word.probability, 4),
            "punctuated_word": raw if self._wanted.plain else text,
        }
