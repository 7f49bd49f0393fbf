"""What a client has of its session, so that each thing is shown once, whatever the server says again. Pure."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from model.types import SAMPLE_RATE
from streamer.protocols import messages

Message = TypeVar("Message", bound=messages.ServerMessage)


class Receipts:
    """Takes every message of a stream and says which are new; puts those of a later session after those before it.

    A session that the server does not know any more is followed by another one, which counts from 1 and from 0 s; what
    comes out counts on.
    """

    def __init__(self, sample_rate: int) -> None:
        """`sample_rate` of the client's audio, in hertz."""
        self._rate = sample_rate
        self._begun = self._commits = self._utterances = 0  # where this session begins
        self._seconds = 0.0
        self.commit = self.utterance = 0
        self._final = 0
        self._open: list[messages.Commit] = []  # of the utterance that has no final yet, as they were shown
        self._gap_end = -1.0
        self.covered = 0
        """Frames of which there is text, or of which the server said that there is none."""

    @property
    def have(self) -> int:
        """Id of the last commit, as this session counts."""
        return self.commit - self._commits

    @property
    def begun(self) -> int:
        """The frame that this session began with."""
        return self._begun

    def begin_anew(self, frame: int) -> None:
        """Begin another session with a frame."""
        self._begun, self._seconds = frame, frame / self._rate
        self._commits, self._utterances = self.commit, self.utterance
        self.covered = max(self.covered, frame)

    def take(self, message: Message) -> Message | None:
        """Return a message as it is to be shown; None if it was before."""
        match message:
            case messages.Ack(_, committed):
                self.covered = max(self.covered, self._begun + committed)
                return None
            case messages.Commit(id=number, utterance=utterance, end=end):
                if number <= self.have:
                    return None
                self.commit = self._commits + number
                self.utterance = max(self.utterance, self._utterances + utterance)
                self._cover(end)
                shown = self._later(message)
                if self._open and self._open[-1].utterance != self._utterances + utterance:
                    self._open.clear()
                self._open.append(shown)
                return shown
            case messages.Final(utterance=utterance):
                if self._utterances + utterance <= self._final:
                    return None
                self._final = self._utterances + utterance
                self.utterance = max(self.utterance, self._final)
                self._open.clear()
            case messages.Gap(_, end):
                if self._seconds + end <= self._gap_end:
                    return None
                self._gap_end = self._seconds + end
                self._cover(end)
            case messages.SpeechStarted(utterance=utterance):
                self.utterance = max(self.utterance, self._utterances + utterance)
        return self._later(message)

    def close_utterance(self) -> messages.Final | None:
        """Return the final of the utterance that goes on, if one does, for a session that cannot say it any more."""
        told, self._open = self._open, []
        if not told:
            return None
        self._final = told[0].utterance
        text = "".join(commit.text for commit in told)
        return messages.Final(self._final, text, told[0].start, told[-1].end, "")

    def lost(self, start: int, end: int, reason: str) -> messages.Gap:
        """Return the gap that frames without a text are, between two sessions."""
        self.covered = max(self.covered, end)
        self._gap_end = end / self._rate
        return messages.Gap(start / self._rate, end / self._rate, reason)

    def _cover(self, end_s: float) -> None:
        """Note that everything up to a time is text; a frame that is cut by it is not."""
        self.covered = max(self.covered, self._begun + round(end_s * SAMPLE_RATE) * self._rate // SAMPLE_RATE)

    def _later(self, message: Message) -> Message:
        """Return a message with times and numbers that count on from the sessions before."""
        if not self._begun:
            return message
        changes: dict[str, object] = {}
        for name in ("start", "end", "audio"):
            if isinstance(value := getattr(message, name, None), float):
                changes[name] = value + self._seconds
        for name, offset in (("id", self._commits), ("utterance", self._utterances), ("commits", self._commits)):
            if isinstance(value := getattr(message, name, None), int):
                changes[name] = value + offset
        if isinstance(message, messages.Commit) and isinstance(message.words, list):
            shift = self._seconds
            changes["words"] = [
                msgspec.structs.replace(word, start=word.start + shift, end=word.end + shift) for word in message.words
            ]
        return msgspec.structs.replace(message, **changes) if changes else message
