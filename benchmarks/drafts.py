"""Measure what the last hypothesis saves: every request of a stream is decoded in four ways, in turns.

    python -m benchmarks.drafts [--seconds 120] [--model demo]

An update can use what was heard before twice over. Committed words are forced as a prefix, and the uncommitted rest is
verified as a draft. To see what each is worth, each request of a session is decoded

- from nothing: the whole window, as if nothing had been heard before (what most programs do),
- with all that was said before as a draft: verified in one pass, nothing forced,
- with the committed words forced, and no draft,
- with both, which is what the daemon does.

A draft may change no text: the first two must say the same, and so must the last two. The order of the ways changes
from request to request, so that caches and whatever else the machine does weigh on all alike; time is stated as a ratio
only. The audio clock runs as it does for an infinitely fast recognizer.

Writes drafts.md, drafts.png and drafts.json to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median

from benchmarks import machine, speech
from benchmarks.plot import plot_passes
from benchmarks.speech import MONOLOGUE, PHRASES, Speech
from benchmarks.virtual import listen
from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Recognizer, Segment
from streamer.config import Config
from streamer.core.session import Session
from streamer.core.vad import WebRtcVad

STYLES = {"phrases with pauses": PHRASES, "continuous speech": MONOLOGUE}


class Way(StrEnum):
    """What of the last hypothesis a decode uses."""

    NOTHING = "from nothing"
    DRAFT = "all as draft"
    PREFIX = "committed words forced"
    BOTH = "forced, rest as draft"

    @property
    def drafts(self) -> bool:
        """Whether it verifies a draft."""
        return self in {Way.DRAFT, Way.BOTH}

    def request(self, request: DecodeRequest) -> DecodeRequest:
        """Return a session's request as this way asks it, under a stream name of its own, for caches of its own."""
        stream = f"{request.stream} {self}"
        if self in {Way.NOTHING, Way.DRAFT}:
            whole = joined(request.prefix, request.draft) if self is Way.DRAFT else ()
            return replace(request, stream=stream, prefix=(), draft=whole)
        return replace(request, stream=stream, draft=request.draft if self is Way.BOTH else ())


def joined(prefix: tuple[Segment, ...], draft: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Return committed and guessed segments as one text; an open segment is continued by the first of the draft."""
    if not (prefix and draft and prefix[-1].end is None):
        return (*prefix, *draft)
    seam = replace(prefix[-1], end=draft[0].end, words=prefix[-1].words + draft[0].words)
    return (*prefix[:-1], seam, *draft[1:])


@dataclass(frozen=True, slots=True)
class Update:
    """One request, decoded in every way."""

    answers: Mapping[Way, Hypothesis]
    seconds: Mapping[Way, float]

    @property
    def same(self) -> bool:
        """Whether drafts changed nothing: neither tokens nor times."""
        return all(
            _content(self.answers[plain]) == _content(self.answers[drafted])
            for plain, drafted in ((Way.NOTHING, Way.DRAFT), (Way.PREFIX, Way.BOTH))
        )


@dataclass(frozen=True, slots=True)
class Report:
    """One way of decoding: means over updates."""

    passes: float
    """Decoder passes of an update."""
    tokens: float
    """New tokens of an update, after what is forced."""
    accepted: float
    """Share of draft tokens that were accepted; 0 without drafts."""
    time: float
    """CPU time of an update over that of decoding from nothing: the median over updates. Encoder included."""


def compare(
    session: Session, recognizers: Mapping[bool, Recognizer], spoken: Speech, *, progress: float = math.inf
) -> list[Update]:
    """Run the speech through the session, and each of its requests through the recognizers in every way.

    recognizers: the one that verifies drafts under True, one that does not under False; progress: seconds of audio
    after which a line says how far it is.
    """
    updates: list[Update] = []
    told = 0.0
    for _ in listen(session, spoken):
        done = session.received / SAMPLE_RATE
        if done - told >= progress:
            told = done
            print(f"  {done:.0f} of {spoken.seconds:.0f} s", flush=True)
        while (request := session.next_request()) is not None:
            update = _decode(recognizers, request, len(updates))
            session.receive_hypothesis(update.answers[Way.BOTH])
            updates.append(update)
        list(session.events())  # drained, so that they do not pile up
    assert session.done, "the session wants nothing more, and is not done"
    return updates


def report(updates: list[Update], way: Way) -> Report:
    """Sum up. Raises ValueError if there are no updates."""
    if not updates:
        raise ValueError("no updates to report: the speech gave no request")
    each = [update.answers[way].statistics for update in updates]
    return Report(
        passes=sum(s.passes for s in each) / len(each),
        tokens=sum(s.tokens for s in each) / len(each),
        accepted=sum(s.accepted_tokens for s in each) / max(sum(s.draft_tokens for s in each), 1),
        time=median(update.seconds[way] / update.seconds[Way.NOTHING] for update in updates),
    )


def _decode(recognizers: Mapping[bool, Recognizer], request: DecodeRequest, number: int) -> Update:
    ways = list(Way)
    ways = ways[number % len(ways) :] + ways[: number % len(ways)]
    answers, seconds = {}, {}
    for way in ways:
        asked = way.request(request)
        began = time.process_time()
        (answers[way],) = recognizers[way.drafts].transcribe([asked])
        seconds[way] = time.process_time() - began
    return Update(answers, seconds)


def _content(hypothesis: Hypothesis) -> list[tuple[int, int | None, tuple[tuple[int, ...], ...]]]:
    return [(s.start, s.end, tuple(word.tokens for word in s.words)) for s in hypothesis.segments]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="What the last hypothesis saves.")
    parser.add_argument("--seconds", type=float, default=120, help="speech of each style")
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    where = machine.describe()
    recognizers = {
        drafts: WhisperRecognizer.load(options.model, "cpu", threads=1, drafts=drafts) for drafts in (False, True)
    }
    found = {name: run(style, options.seconds, recognizers, name) for name, style in STYLES.items()}
    table = describe(found, f"python -m benchmarks.drafts --seconds {options.seconds:g} --model {options.model}", where)
    machine.write("drafts.md", table)
    machine.write("drafts.json", json.dumps({"machine": where, "styles": summaries(found)}, indent=1) + "\n")
    passes = {name: {str(way): report(updates, way).passes for way in Way} for name, updates in found.items()}
    plot_passes(passes, machine.RESULTS / "drafts.png")
    print(table)


def run(style: speech.Style, seconds: float, recognizers: Mapping[bool, Recognizer], name: str) -> list[Update]:
    """Decode one style of speech in every way, with the daemon's own defaults."""
    spoken = speech.speak(seconds, seed=1000, styles=(style,))
    print(f"{name} …", flush=True)
    return compare(new_session(), recognizers, spoken, progress=20)


def new_session() -> Session:
    """Return a session with the daemon's own defaults."""
    config = Config()
    return Session("benchmark", config.session, config.endpoint, WebRtcVad(config.endpoint.vad_aggressiveness))


def summaries(found: Mapping[str, list[Update]]) -> dict[str, object]:
    """Return the figures of every style and way."""
    return {
        name: {"updates": len(updates), "different": sum(not u.same for u in updates)}
        | {str(way): {f: getattr(report(updates, way), f) for f in Report.__slots__} for way in Way}
        for name, updates in found.items()
    }


def describe(found: Mapping[str, list[Update]], command: str, where: str) -> str:
    """Write the table."""
    rows = "\n".join(
        f"| {name} | {way} | {one.passes:.2f} | {base.passes / one.passes:.1f} | {one.tokens:.1f} "
        f"| {f'{one.accepted:.0%}' if way.drafts else ''} | {one.time:.2f} |"
        for name, updates in found.items()
        for base in [report(updates, Way.NOTHING)]
        for way in Way
        for one in [report(updates, way)]
    )
    counts = ", ".join(f"{len(u)} updates of {name}" for name, u in found.items())
    different = sum(not update.same for updates in found.values() for update in updates)
    config = Config().session
    return f"""# Drafts

`{command}`

Speech: {speech.source()}. Machine: {where}. An update every {config.update_interval_ms} ms. {counts}, each decoded in \
four ways; the text depended on the draft in {different} of them.

| speech | what is used again | passes per update | times fewer | new tokens | draft accepted | CPU time, relative |
|---|---|---|---|---|---|---|
{rows}

Passes and time are means and medians over updates, partial and final, encoder included in the time; both are relative \
to decoding the whole window from nothing.

![Decoder passes](drafts.png)
"""


if __name__ == "__main__":
    main()
