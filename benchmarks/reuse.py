"""Measure what using positions of the audio again saves and changes: every request is answered with it and without.

    python -m benchmarks.reuse [--seconds 120] [--model demo] [--precision auto] [--contexts dynamic full]

An update encodes what is near new audio and leaves the rest of its window as an earlier update had it
(`model/decoding/reuse.py`). Whether weights bear that can only be found out by trying: run this with the model that is
to be used before `--model.encoder-reuse on`. Each request of a session is answered by two recognizers, in turns; the
session goes on with what was heard with reuse. Last decodes, which never use it, are not counted.

Writes reuse.md, reuse.png and reuse.json to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks import machine, speech
from benchmarks.drafts import STYLES, new_session
from benchmarks.plot import plot_bars
from benchmarks.speech import Speech
from benchmarks.virtual import listen
from model.recognizer import WhisperRecognizer
from model.types import Hypothesis, Recognizer
from streamer.config import Config
from streamer.core.session import Session

CONTEXTS = ("dynamic", "full")


@dataclass(frozen=True, slots=True)
class Update:
    """One partial request, answered with reuse (True) and without (False)."""

    answers: Mapping[bool, Hypothesis]
    seconds: Mapping[bool, float]

    @property
    def texts(self) -> tuple[list[str], list[str]]:
        """Words with reuse, and without."""
        with_reuse, without = ([word.text for word in self.answers[reuse].words] for reuse in (True, False))
        return with_reuse, without

    @property
    def same(self) -> bool:
        """Whether reuse changed no word."""
        with_reuse, without = self.texts
        return with_reuse == without

    @property
    def same_but_last(self) -> bool:
        """Whether it changed no word but the last one, which is the one that is not committed yet as a rule."""
        with_reuse, without = self.texts
        return with_reuse[: max(len(without) - 1, 0)] == without[:-1]


@dataclass(frozen=True, slots=True)
class Report:
    """All updates of one style and context; shares of what there is without reuse."""

    updates: int
    same: float
    same_but_last: float
    positions: float
    """Encoder positions that are computed."""
    time: float
    """CPU time."""
    again: int
    """Updates that a guard had decoded again with reuse."""
    again_without: int


def compare(session: Session, recognizers: Mapping[bool, Recognizer], spoken: Speech) -> list[Update]:
    """Run the speech through the session, and each of its requests through both recognizers, True is with reuse."""
    updates: list[Update] = []
    for _ in listen(session, spoken):
        while (request := session.next_request()) is not None:
            order = (True, False) if len(updates) % 2 else (False, True)
            answers, seconds = {}, {}
            for reuse in order:
                began = time.process_time()
                (answers[reuse],) = recognizers[reuse].transcribe([request])
                seconds[reuse] = time.process_time() - began
            session.receive_hypothesis(answers[True])
            if not request.final:
                updates.append(Update(answers, seconds))
        list(session.events())  # drained, so that they do not pile up
    assert session.done, "the session wants nothing more, and is not done"
    return updates


def report(updates: Sequence[Update]) -> Report:
    """Sum up. Raises ValueError if there are no updates."""
    if not updates:
        raise ValueError("no updates to report: the speech gave no request")
    count = len(updates)
    computed = {r: sum(u.answers[r].statistics.computed_positions for u in updates) for r in (True, False)}
    seconds = {r: sum(u.seconds[r] for u in updates) for r in (True, False)}
    again = {r: sum(u.answers[r].statistics.fallbacks > 0 for u in updates) for r in (True, False)}
    return Report(
        count,
        sum(update.same for update in updates) / count,
        sum(update.same_but_last for update in updates) / count,
        computed[True] / computed[False],
        seconds[True] / seconds[False],
        again[True],
        again[False],
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="What using positions of the audio again saves and changes.")
    parser.add_argument("--seconds", type=float, default=120, help="speech of each style")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--contexts", nargs="+", choices=CONTEXTS, default=list(CONTEXTS))
    options = parser.parse_args()
    where = machine.describe()
    found: dict[tuple[str, str], Report] = {}
    for context in options.contexts:
        recognizers = {
            reuse: WhisperRecognizer.load(
                options.model, "cpu", options.precision, 1, context, encoder_reuse="on" if reuse else "off"
            )
            for reuse in (True, False)
        }
        for name, style in STYLES.items():
            print(f"{name}, {context} context …", flush=True)
            spoken = speech.speak(options.seconds, seed=2000, styles=(style,))
            found[name, context] = report(compare(new_session(), recognizers, spoken))
    command = (
        f"python -m benchmarks.reuse --seconds {options.seconds:g} --model {options.model} "
        f"--precision {options.precision} --contexts {' '.join(options.contexts)}"
    )
    table = describe(found, command, where)
    machine.write("reuse.md", table)
    raw = [{"speech": name, "context": context, **asdict(one)} for (name, context), one in found.items()]
    machine.write("reuse.json", json.dumps({"command": command, "machine": where, "rows": raw}, indent=1) + "\n")
    bars = {f"{name}, {context}": one.time for (name, context), one in found.items()}
    plot_bars(bars, "CPU time of an update with reuse; 1 = without", machine.RESULTS / "reuse.png")
    print(table)


def describe(found: Mapping[tuple[str, str], Report], command: str, where: str) -> str:
    """Write the table."""
    rows = "\n".join(
        f"| {name} | {context} | {one.updates} | {one.same:.1%} | {one.same_but_last:.1%} | {one.positions:.2f} "
        f"| {one.time:.2f} | {one.again}, {one.again_without} |"
        for (name, context), one in found.items()
    )
    interval = Config().session.update_interval_ms
    return f"""# Positions that are not encoded again

`{command}`

Speech: {speech.source()}. Machine: {where}. An update every {interval} ms, each answered with reuse and without. \
Positions and time are shares of those without, of all updates but last decodes, which never use it.

| speech | context | updates | same words | same but for the last | positions encoded | CPU time \
| decoded again, with and without |
|---|---|---|---|---|---|---|---|
{rows}

![CPU time](reuse.png)
"""


if __name__ == "__main__":
    main()
