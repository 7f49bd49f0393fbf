"""What it costs that the recognizer runs in a process of its own: the same batches here and there.

    python -m benchmarks.worker [--rounds 40] [--model demo] [--threads 1]

Updates as the daemon asks for them: 1 and 8 windows of 2 to 12 s of spoken digits, and what they cost in this process,
on the engine's thread, and in a child, over socket and shared memory. The two take turns, so that a busy machine
disturbs both; the answers must be the same. Besides, what crossing alone costs: the same windows to a child whose
recognizer answers at once.

Writes worker.md and worker.json to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

from benchmarks import machine, speech
from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis
from streamer.commands.serve import WORKER
from streamer.config import Config, ModelConfig
from streamer.recognition.device import DeviceThread
from streamer.recognition.loading import build_recognizer, in_child

ECHO = "from tests.faulty.child import echo; echo()"
SECONDS = (2, 4, 6, 8, 12)
"""Windows of a stream, one after another."""
Ask = Callable[[Sequence[DecodeRequest]], Awaitable[list[Hypothesis]]]


@dataclass(slots=True)
class Times:
    """Seconds of each batch."""

    here: list[float] = field(default_factory=list)
    there: list[float] = field(default_factory=list)
    crossing: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median of there over here, batch by batch: those of one pair were made one after the other."""
        return median(there / here for here, there in zip(self.here, self.there, strict=True))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="The recognizer here and in a child.")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    where = machine.describe()
    config = Config(model=ModelConfig(name=options.model, threads=options.threads))
    times = asyncio.run(measure(config, options.rounds))
    table = describe(times, options.model, where, sys.argv[1:])
    machine.write("worker.md", table)
    raw = {rows: {"here": t.here, "there": t.there, "crossing": t.crossing} for rows, t in times.items()}
    machine.write("worker.json", json.dumps({"machine": where, "seconds": raw}) + "\n")
    print(table)


async def measure(config: Config, rounds: int) -> dict[int, Times]:
    """Ask here, there and an echo in turn. Raises ValueError if the answers differ."""
    recognizer = build_recognizer(config.model)
    thread = DeviceThread("recognizer")
    talk = speech.speak(60, seed=3).samples
    times: dict[int, Times] = {1: Times(), 8: Times()}

    async def here(batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        return await thread.run(recognizer.transcribe, batch)

    async with (
        in_child(config, WORKER, print) as child,
        in_child(config, (sys.executable, "-c", ECHO), print) as echo,
    ):
        for number in range(rounds):
            seconds = SECONDS[number % len(SECONDS)]
            for rows, found in times.items():
                batch = [
                    DecodeRequest(f"{rows}.{row}", 0, talk[row * SAMPLE_RATE :][: seconds * SAMPLE_RATE], language="en")
                    for row in range(rows)
                ]
                order = [(here, found.here), (child.transcribe, found.there)]
                answers = [await timed(ask, batch, into) for ask, into in order[:: 1 if number % 2 else -1]]
                if said(answers[0]) != said(answers[1]):
                    raise ValueError(f"the answers differ: {said(answers[0])} and {said(answers[1])}")
                await timed(echo.transcribe, batch, found.crossing)
    thread.stop()
    return times


async def timed(ask: Ask, batch: Sequence[DecodeRequest], into: list[float]) -> list[Hypothesis]:
    """Ask, and note how long it took."""
    began = perf_counter()
    answers = await ask(batch)
    into.append(perf_counter() - began)
    return answers


def said(answers: Sequence[Hypothesis]) -> list[list[tuple[str, int, int]]]:
    """Return words with their times."""
    return [[(word.text, word.start, word.end) for word in answer.words] for answer in answers]


def describe(times: dict[int, Times], model: str, where: str, flags: Sequence[str]) -> str:
    """Write the table."""
    rows = "\n".join(
        f"| {rows} | {len(t.here)} | {1e3 * median(t.here):.1f} ms | {t.ratio:.3f} | {1e3 * median(t.crossing):.2f} ms "
        f"| {median(t.crossing) / median(t.here):.1%} |"
        for rows, t in times.items()
    )
    return f"""# The recognizer in a process of its own

`python -m benchmarks.worker {" ".join(flags)}`

Model: {model}. Machine: {where}.

| windows in a batch | batches | in the daemon's process (median) | child over own, median of pairs \
| crossing alone (median) | of a batch |
|---|---|---|---|---|---|
{rows}

Windows are {", ".join(map(str, SECONDS))} s long in turn. The words and their times were the same in both.
"""


if __name__ == "__main__":
    main()
