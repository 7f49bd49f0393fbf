"""What drafts save: every request of a stream is decoded with its draft and without it, in turns, by one recognizer.

Both answers must have the same tokens. The order alternates, so that caches and whatever else the machine does weigh
on both alike; the time is stated as a ratio only. The audio clock runs as it does for an infinitely fast recognizer:
a request is made as soon as the session wants one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from benchmarks.speech import Speech
from benchmarks.stream import CHUNK
from model.types import DecodeRequest, Hypothesis, Recognizer
from streamer.session import Session

PLAIN = "-without-drafts"
"""Suffix of the stream's name, so that the recognizer keeps separate caches for both."""


@dataclass(frozen=True, slots=True)
class Update:
    """One request, decoded both ways."""

    final: bool
    drafted: Hypothesis
    plain: Hypothesis
    drafted_s: float
    plain_s: float

    @property
    def same(self) -> bool:
        """Whether both say the same tokens at the same times."""
        return _content(self.drafted) == _content(self.plain)


@dataclass(frozen=True, slots=True)
class DraftReport:
    """Means over updates."""

    updates: int
    passes: float
    """Decoder passes of an update, with drafts."""
    passes_plain: float
    tokens: float
    """New tokens of an update, after the forced prefix."""
    tokens_per_pass: float
    tokens_per_pass_plain: float
    accepted: float
    """Share of draft tokens that were accepted."""
    time_ratio: float
    """Time of an update without its draft over the time with it: the median over updates. Encoder included."""
    different: int
    """Updates whose text or times depend on the draft: must be 0."""


def compare(session: Session, recognizer: Recognizer, speech: Speech) -> list[Update]:
    """Run the speech through the session, and each of its requests through the recognizer twice."""
    updates: list[Update] = []
    for _ in _advance(session, speech):
        while (request := session.next_request()) is not None:
            update = _decode_both(recognizer, request, swapped=len(updates) % 2 == 1)
            session.receive_hypothesis(update.drafted)
            updates.append(update)
        list(session.events())  # drained, so that they do not pile up
    assert session.done, "the session wants nothing more, and is not done"
    recognizer.forget(session.stream)
    recognizer.forget(session.stream + PLAIN)
    return updates


def report(updates: list[Update]) -> DraftReport:
    """Sum up. Raises ValueError if there are no updates."""
    if not updates:
        raise ValueError("no updates to report: the speech gave no request")
    drafted, plain = [u.drafted.statistics for u in updates], [u.plain.statistics for u in updates]
    return DraftReport(
        updates=len(updates),
        passes=float(np.mean([s.passes for s in drafted])),
        passes_plain=float(np.mean([s.passes for s in plain])),
        tokens=float(np.mean([s.tokens for s in drafted])),
        tokens_per_pass=sum(s.tokens for s in drafted) / max(sum(s.passes for s in drafted), 1),
        tokens_per_pass_plain=sum(s.tokens for s in plain) / max(sum(s.passes for s in plain), 1),
        accepted=sum(s.accepted_tokens for s in drafted) / max(sum(s.draft_tokens for s in drafted), 1),
        time_ratio=median(u.plain_s / u.drafted_s for u in updates),
        different=sum(not u.same for u in updates),
    )


def _advance(session: Session, speech: Speech) -> Iterator[None]:
    """Let the audio clock run; yield whenever the session may want something."""
    for start in range(0, len(speech.samples), CHUNK):
        session.receive_audio(speech.samples[start : start + CHUNK])
        yield
    session.receive_eof()
    yield


def _decode_both(recognizer: Recognizer, request: DecodeRequest, *, swapped: bool) -> Update:
    ways = [request, replace(request, stream=request.stream + PLAIN, draft=())]
    answers = [_timed(recognizer, way) for way in (reversed(ways) if swapped else ways)]
    (drafted, drafted_s), (plain, plain_s) = reversed(answers) if swapped else answers
    return Update(request.final, drafted, plain, drafted_s, plain_s)


def _timed(recognizer: Recognizer, request: DecodeRequest) -> tuple[Hypothesis, float]:
    began = time.perf_counter()
    (answer,) = recognizer.transcribe([request])
    return answer, time.perf_counter() - began


def _content(hypothesis: Hypothesis) -> list[tuple[int, int | None, tuple[tuple[int, ...], ...]]]:
    return [(s.start, s.end, tuple(word.tokens for word in s.words)) for s in hypothesis.segments]
