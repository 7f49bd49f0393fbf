"""Write the comparison of streaming systems down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import speech
from benchmarks.conditions import CONTINUOUS, NOISE_LEVELS
from benchmarks.contestants import Contestant
from benchmarks.figures import Figures, Interval, Spread, summarise
from benchmarks.heat import Result
from benchmarks.offline import SETTINGS
from benchmarks.outcome import Outcome
from benchmarks.speech import Cast
from streamer.config import EndpointConfig


@dataclass(frozen=True, slots=True)
class Entry:
    """One system with its figures."""

    name: str
    settings: str
    """Or why it was not measured."""
    all: Figures | None
    """None if it was not measured."""
    continuous: Figures | None
    noise: tuple[Figures | None, ...]
    """By NOISE_LEVELS."""
    outcomes: tuple[Outcome, ...]

    @property
    def point(self) -> tuple[float, Interval] | None:
        """Median commit delay and word error rate, for the plot."""
        if self.all is None or self.all.committed is None:
            return None
        return self.all.committed.aware[0], self.all.error_rate


def entries(results: Sequence[Result]) -> list[Entry]:
    """Gather the results of each system; the order of the first results is kept."""
    found: dict[Contestant, list[Result]] = {}
    for result in results:
        found.setdefault(result.contestant, []).append(result)
    return [entry(some) for some in found.values()]


def entry(results: Sequence[Result]) -> Entry:
    """Sum up one system; if one stream failed, it is not measured."""
    missing = [result for result in results if result.outcome is None]
    if missing:
        return Entry(missing[0].name, missing[0].settings, None, None, (), ())
    outcomes = tuple(result.outcome for result in results if result.outcome is not None)
    continuous = [outcome for outcome in outcomes if outcome.condition.style == CONTINUOUS]
    noise = [[outcome for outcome in outcomes if outcome.condition.snr == level] for level in NOISE_LEVELS]
    return Entry(
        results[0].name,
        results[0].settings,
        summarise(outcomes),
        summarise(continuous) if continuous else None,
        tuple(summarise(some) if some else None for some in noise),
        outcomes,
    )


def raw(one: Entry) -> dict[str, Any]:
    """Return everything but the delay of each word."""
    streams = [
        {
            "stream": outcome.condition.name,
            "seconds": outcome.seconds,
            "blocks": [asdict(block) for block in outcome.blocks],
            "lost": outcome.lost,
            "dropped": outcome.dropped,
            "doubled": outcome.doubled,
        }
        for outcome in one.outcomes
    ]
    figures = {"all": one.all, "continuous": one.continuous}
    sums = {name: None if some is None else asdict(some) for name, some in figures.items()}
    return {"name": one.name, "settings": one.settings, **sums, "streams": streams}


def describe(
    command: str,
    model: str,
    where: str,
    found: Sequence[Entry],
    *,
    cast: Cast = speech.EVERYONE,
    picture: str = "streaming.png",
) -> str:
    """Write the report; cast: who spoke; picture: file name of the plot."""
    measured = [one for one in found if one.all is not None]
    missing = [one for one in found if one.all is None]
    noise = "\n".join(f"| {one.name} | {_noise(one)} |" for one in measured)
    longest = max((one.all for one in measured if one.all), key=lambda figures: figures.minutes)
    return f"""# Streaming systems

`{command}`

Weights: {Path(model).name}, the same for all. Speech: {speech.source(cast)}{_heard(model, cast)}; \
{longest.minutes:.0f} minutes, half continuous, half short phrases, a third each without noise, with pink noise at \
20 dB and at 10 dB. Machine: {where}. Times are virtual: the clock is the audio, and work takes the CPU seconds of one \
thread. "Unaware" is without the cost of the work. All delays are from the true end of the word; the time to final \
contains the hangover ({EndpointConfig().hangover_ms} ms for ours). `benchmarks/outcome.py` defines every figure.

![Commit delay against word error rate]({picture})

## Right, and stable

Offline is {SETTINGS}. "More errors" is the relative difference of the two word error rates on the same streams; \
"differs" is the word error rate against the offline text. In square brackets: 95 % intervals.

| system | minutes | word error rate | more errors than offline | differs | words rewritten | taken back per word \
| lost an hour | of these shown before | doubled an hour |
|---|---|---|---|---|---|---|---|---|---|
{_rows(measured, _accuracy)}

## Soon

Seconds: p50, p95, p99. The latest answer is how long after its audio the worst message came.

| system | word committed | the same, unaware | word first shown | the same, unaware | utterance final | latest answer |
|---|---|---|---|---|---|---|
{_rows(measured, _delays)}

On continuous speech alone:

| system | word committed | the same, unaware | word first shown | word error rate | more errors than offline |
|---|---|---|---|---|---|
{_rows([replace(one, all=one.continuous) for one in measured], _continuous)}

## Noise

Word error rate of the system, and offline.

| system | {" | ".join("clean" if level is None else f"{level:g} dB" for level in NOISE_LEVELS)} |
|---|{"---|" * len(NOISE_LEVELS)}
{noise}

## Cost

Per second of audio, pauses included.

| system | updates | decoder passes | CPU seconds |
|---|---|---|---|
{_rows(measured, _cost)}

## Settings

{_listed(measured)}
{_absent(missing)}"""


def _heard(model: str, cast: Cast) -> str:
    """Say what the weights know of the speakers."""
    if cast != speech.EVERYONE:
        return " (left out when these weights were trained)"
    if model != "demo" or not speech.RECORDINGS.is_dir():
        return ""
    return " (the weights were trained on other takes, 5 to 49, of all four speakers; no speaker is new to them)"


def _rows(found: Sequence[Entry], cells: Callable[[Figures], str]) -> str:
    return "\n".join(f"| {one.name} | {cells(one.all)} |" for one in found if one.all is not None)


def _accuracy(figures: Figures) -> str:
    return " | ".join(
        (
            f"{figures.minutes:.0f}",
            f"{_percent(figures.error_rate)} ({figures.errors}/{figures.spoken})",
            f"{_percent(figures.excess, sign=True)} ({figures.offline_errors})",
            f"{figures.difference:.1%}",
            str(figures.rewrites),
            f"{figures.erasure:.3f}",
            f"{figures.lost:.1f}",
            # A system whose words are first seen when they are committed cannot be asked.
            "–" if figures.shown == figures.committed else str(figures.dropped),
            f"{figures.doubled:.1f}",
        )
    )


def _delays(figures: Figures) -> str:
    late = f"{figures.lateness:.2f}"
    return " | ".join((*_spread(figures.committed), *_spread(figures.shown), _spread(figures.final)[0], late))


def _continuous(figures: Figures) -> str:
    rates = (_percent(figures.error_rate), _percent(figures.excess, sign=True))
    return " | ".join((*_spread(figures.committed), _spread(figures.shown)[0], *rates))


def _noise(one: Entry) -> str:
    return " | ".join(
        "not measured" if some is None else f"{some.errors / some.spoken:.1%}, {some.offline_errors / some.spoken:.1%}"
        for some in one.noise
    )


def _cost(figures: Figures) -> str:
    passes = "not counted" if figures.passes is None else f"{figures.passes:.2f}"
    return f"{figures.updates:.2f} | {passes} | {figures.busy:.3f}"


def _percent(interval: Interval, *, sign: bool = False) -> str:
    form = "+.1%" if sign else ".1%"
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def _spread(spread: Spread | None) -> tuple[str, str]:
    """Return percentiles, with the cost of the work and without."""
    if spread is None:
        return "none", "none"
    aware, unaware = (", ".join(f"{value:.2f}" for value in some) for some in (spread.aware, spread.unaware))
    return aware, unaware


def _listed(found: Sequence[Entry]) -> str:
    return "\n".join(f"- {one.name}: {one.settings}." for one in found)


def _absent(missing: Sequence[Entry]) -> str:
    if not missing:
        return ""
    return "\nNot measured:\n\n" + "\n".join(f"- {one.name}: {one.settings}." for one in missing) + "\n"
