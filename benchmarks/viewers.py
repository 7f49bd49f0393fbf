"""Let many people watch one speaker, some of whom stop reading, and see whether the speaker notices.

    python -m benchmarks.viewers [--viewers 200] [--stalled 20] [--rounds 3] [--seconds 40] [--model demo]

One daemon. In each round somebody speaks twice, the same words in real time over a WebSocket: once unwatched and once
watched, in turns which of the two is first. The viewers are one process, the speaker another, on the daemon's own
cores; so what the viewers' own reading takes from these cores is charged to the daemon too.

Lag is what the daemon reports with every message: audio received and not yet decoded. Commit delay counts from the true
end of a word. Both are given as they were and as the ratio of watched to unwatched.

Writes viewers.md, viewers.png and viewers.json to `benchmarks/results/`. Exits with 1 if a viewer who reads missed a
commit, or one who does not was not cut, or the speaker's stream was not decided to its end.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from typing import Self

from benchmarks import machine, speech
from benchmarks.clients import Outcome, Task, run_clients
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.delays import percentile
from benchmarks.viewer_crowd import Crowd, Seen, run_crowd
from benchmarks.viewers_plot import plot_viewers
from streamer.config import ServerConfig, SessionConfig

LOOK_S = 1.0
"""Between two looks at the daemon, watched or not."""
PATIENCE_S = ServerConfig().send_timeout_s
CUT = "streamer_viewers_cut_total"


@dataclass(slots=True)
class Turns:
    """What was measured in all turns of one kind; times in seconds."""

    lags: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    """Of the lag, by turn."""
    committed: list[float] = field(default_factory=list)
    """Delays of commits."""
    cpu: float = 0.0
    """CPU seconds of the daemon."""
    viewing: float = 0.0
    """CPU seconds of the viewers themselves."""
    audio: float = 0.0
    peak_mib: float = 0.0
    """Memory of the daemon at its most."""
    late_send: float = 0.0
    failures: list[str] = field(default_factory=list)
    """What must be empty."""
    cut_after: list[float] = field(default_factory=list)
    """Seconds from the first viewer's coming until the last one who reads nothing was cut."""


class Observer:
    """Looks at the daemon now and then while something else happens."""

    def __init__(self, daemon: Daemon, stalled: int) -> None:
        """`stalled` viewers are waited for to be cut."""
        self._daemon = daemon
        self.stalled = stalled
        self._before = daemon.metrics()[CUT]
        self._began: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.peak_mib = 0.0
        self.cut = 0.0
        self.cut_after: float | None = None

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look once more, and no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            over = self._over.wait(LOOK_S)
            self.peak_mib = max(self.peak_mib, self._daemon.resident_mib())
            metrics, now = self._daemon.metrics(), time.monotonic()
            self.cut = metrics[CUT] - self._before
            if metrics["streamer_viewers"] and self._began is None:
                self._began = now
            if self._began is not None and self.cut >= self.stalled > 0 and self.cut_after is None:
                self.cut_after = now - self._began
            if over:
                return


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Many viewers of one speaker.")
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--stalled", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40, help="speech of a turn; stalled viewers need 20 to be cut")
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    where = machine.describe()
    unwatched, watched, crowd = Turns(), Turns(), Crowd(options.viewers, options.stalled)
    with running_daemon(options.model) as daemon:
        run_clients(daemon.address, [Task(0, 5, 0.0)], SessionConfig().update_interval_ms / 1000)  # warm
        for turn in range(options.rounds):
            kinds = [(unwatched, Crowd(0, 0)), (watched, crowd)]
            for turns, those in kinds if turn % 2 == 0 else reversed(kinds):
                print(f"round {turn + 1}, {those.viewers} viewers …", flush=True)
                run_turn(daemon, turns, Task(100 + turn, options.seconds, 0.0), those)
        skipped = daemon.metrics()["streamer_viewer_partials_skipped_total"]
    command = (
        f"python -m benchmarks.viewers --viewers {options.viewers} --stalled {options.stalled} "
        f"--rounds {options.rounds} --seconds {options.seconds:g} --model {options.model}"
    )
    table = describe(unwatched, watched, crowd, skipped, command=command, where=where)
    machine.write("viewers.md", table)
    figures = {"machine": where, "unwatched": asdict(unwatched), "watched": asdict(watched), "skipped": skipped}
    machine.write("viewers.json", json.dumps(figures, indent=1) + "\n")
    plot_viewers(unwatched.lags, watched.lags, options.viewers, machine.RESULTS / "viewers.png")
    print(table)
    sys.exit(bool(unwatched.failures or watched.failures))


def run_turn(daemon: Daemon, turns: Turns, task: Task, crowd: Crowd) -> None:
    """Let somebody speak, and others watch."""
    cpu = daemon.cpu_seconds()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, Observer(daemon, crowd.stalled) as observer:
        watching = pool.submit(run_crowd, daemon.port, crowd) if crowd.viewers else None
        outcome = run_clients(daemon.address, [task], SessionConfig().update_interval_ms / 1000)[0]
        seen, viewing = watching.result() if watching is not None else ([], 0.0)
    add(turns, outcome, seen, observer)
    turns.viewing += viewing
    turns.cpu += daemon.cpu_seconds() - cpu


def add(turns: Turns, outcome: Outcome, seen: list[Seen], observer: Observer) -> None:
    """Add what one turn gave."""
    turns.lags += outcome.lags
    turns.medians.append(percentile(outcome.lags, 50))
    turns.committed += outcome.delays.committed
    turns.audio += outcome.audio
    turns.peak_mib = max(turns.peak_mib, observer.peak_mib)
    turns.late_send = max(turns.late_send, outcome.late_send)
    if observer.cut_after is not None:
        turns.cut_after.append(observer.cut_after)
    turns.failures += failures(outcome, seen, observer.cut, observer.stalled)


def failures(outcome: Outcome, seen: list[Seen], cut: float, stalled: int) -> list[str]:
    """Return what was not as it must be."""
    found = [f"the speaker: {reason}" for reason in (outcome.refused, outcome.failure) if reason]
    if cut != stalled:
        found.append(f"{cut:g} viewers were cut, not the {stalled} that read nothing")
    last = max((viewer.commits[-1] for viewer in seen if viewer.commits), default=0)
    incomplete = [viewer for viewer in seen if viewer.commits != tuple(range(1, last + 1)) or viewer.close != 1000]
    if incomplete:
        found.append(f"{len(incomplete)} viewers did not get every commit in order and a close with 1000")
    return found


def describe(unwatched: Turns, watched: Turns, crowd: Crowd, skipped: float, *, command: str, where: str) -> str:
    """Write the table."""
    rows = [
        row("lag p50", percentile(unwatched.lags, 50), percentile(watched.lags, 50), "s"),
        row("lag p95", percentile(unwatched.lags, 95), percentile(watched.lags, 95), "s"),
        row("commit delay p50", percentile(unwatched.committed, 50), percentile(watched.committed, 50), "s"),
        row("commit delay p95", percentile(unwatched.committed, 95), percentile(watched.committed, 95), "s"),
        row(
            "daemon's CPU per second of speech",
            unwatched.cpu / max(unwatched.audio, 1e-9),
            watched.cpu / max(watched.audio, 1e-9),
            "s",
        ),
        row(
            "viewers' own CPU per second of speech",
            unwatched.viewing / max(unwatched.audio, 1e-9),
            watched.viewing / max(watched.audio, 1e-9),
            "s",
        ),
        row("daemon's memory, peak", unwatched.peak_mib, watched.peak_mib, "MiB", 0),
        row("latest chunk sent", unwatched.late_send, watched.late_send, "s"),
    ]
    wrong = [*unwatched.failures, *watched.failures]
    lost = "\n".join(f"- {failure}" for failure in wrong) if wrong else "None."
    cut = ", ".join(f"{seconds:.0f} s" for seconds in watched.cut_after) or "never"
    return f"""# Viewers

`{command}`

{crowd.viewers} viewers of one session, {crowd.stalled} of which read nothing after they were let in.
Speech: {speech.source()}. Machine: {where}.
Speaker and viewers run on the same cores as the daemon.

| | unwatched | {crowd.viewers} viewers | ratio |
|---|---|---|---|
{chr(10).join(rows)}

The lag's p50 by round, which says how much the machine's other work matters: unwatched {medians(unwatched)};
watched {medians(watched)}.

All {crowd.stalled} stalled viewers were cut, from the first viewer's coming, within: {cut}. (They are pinged after
{PATIENCE_S:g} s and have as long to answer.) Partials that viewers skipped: {skipped:g}. What was not as it must be (a
viewer without every commit, a stalled one that was kept, a stream that was not decided):
{lost}

![distribution of the speaker's lag, watched and not](viewers.png)
"""


def medians(turns: Turns) -> str:
    """Write the lag's p50 of each turn."""
    return ", ".join(f"{median:.2f} s" for median in turns.medians)


def row(name: str, alone: float, among: float, unit: str, digits: int = 3) -> str:
    """Write one row."""
    ratio = f"{among / alone:.2f}" if alone else "–"
    return f"| {name} | {alone:.{digits}f} {unit} | {among:.{digits}f} {unit} | {ratio} |"


if __name__ == "__main__":
    main()
