"""What a client has of its session, so that each thing is shown once, whatever the server says again. Pure."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from model.types import SAMPLE_RATE
from streamer.protocols import messages

FORGOTTEN = "the server does not have its text any more"

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
        self._told_end = 0.0  # of the last commit or gap, in seconds of the whole stream
        self._explained = False  # a gap was shown since the last commit
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
        self._told_end = max(self._told_end, self._seconds)

    def take(self, message: Message) -> list[Message | messages.Commit | messages.Gap]:
        """Return a message as it is to be shown; nothing if it was before.

        A commit that is not the next one comes after a gap, the server's or ours: there is text that was never told.
        """
        match message:
            case messages.Ack(_, committed):
                self.covered = max(self.covered, self._begun + committed)
                return []
            case messages.Commit():
                return [*self._commit(message)]
            case messages.Final(utterance=utterance):
                if self._utterances + utterance <= self._final:
                    return []
                self._final = self._utterances + utterance
                self.utterance = max(self.utterance, self._final)
                self._open.clear()
            case messages.Gap(_, end):
                if self._seconds + end <= self._gap_end:
                    return []
                self._gap_end = self._seconds + end
                self._told_end = max(self._told_end, self._gap_end)
                self._explained = True
                self._cover(end)
            case messages.SpeechStarted(utterance=utterance):
                self.utterance = max(self.utterance, self._utterances + utterance)
        return [self._later(message)]

    def _commit(self, commit: messages.Commit) -> list[messages.Commit | messages.Gap]:
        """Return a commit as it is to be shown, and what comes before it."""
        if commit.id <= self.have:
            return []
        skips = commit.id > self.have + 1
        gaps = [self._forgotten(commit.start)] if skips and not self._explained else []
        self._explained = False
        self.commit = self._commits + commit.id
        self.utterance = max(self.utterance, self._utterances + commit.utterance)
        self._cover(commit.end)
        self._told_end = max(self._told_end, self._seconds + commit.end)
        shown = self._later(commit)
        if self._open and self._open[-1].utterance != shown.utterance:
            self._open.clear()
        self._open.append(shown)
        return [*gaps, shown]

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
        self._gap_end = self._told_end = end / self._rate
        return messages.Gap(start / self._rate, end / self._rate, reason)

    def _forgotten(self, start_s: float) -> messages.Gap:
        """Return the gap before a commit that is not the next one and begins at `start_s`."""
        begin = self._told_end
        self._gap_end = max(begin, self._seconds + start_s)
        return messages.Gap(begin, self._gap_end, FORGOTTEN)

    def _cover(self, end_s: float) -> None:
        """Note that everything up to a time is text; a frame that is cut by it is not."""
        self.covered = max(self.covered, self._begun + round(end_s * SAMPLE_RATE) * self._rate // SAMPLE_RATE)

    def _later(self, message: Message) -> Message:
        """Return a message with times and numbers that count on from the sessions before."""
        if not (self._begun or self._utterances):  # a session may be lost before anything of it was decided
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
