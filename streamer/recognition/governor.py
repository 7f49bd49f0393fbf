"""What is done about load: how often streams are updated, how long a batch may take, whether one more is let in.

Theory of operation. The engine tells of its batches; once a second that has gone by, whoever asks next makes the
governor look at what was measured (`load.py`), move the interval (`interval.py`), learn what a stream costs
(`stream_cost.py`), and answer by the outcome (`capacity.py`). It has no task of its own: a daemon that does nothing
looks at nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from model.types import SAMPLE_RATE
from streamer.config import SessionConfig
from streamer.recognition.batch import Batch
from streamer.recognition.capacity import Outlook, expected, has_room
from streamer.recognition.interval import IntervalLadder, Period, rungs
from streamer.recognition.load import LoadMeter
from streamer.recognition.stream_cost import StreamCost

logger = logging.getLogger(__name__)

PERIOD_S = 1.0
"""Between two looks."""
IDLE_PERIODS = 100
"""After as long without a look everything is as at the start, however much longer it was."""
BATCH_SHARE = 0.2
"""Of the interval, which a batch may take: a request that comes when one has just begun waits for all of it."""


class Governor:
    """An EngineObserver; asked by connections, the engine and admission."""

    def __init__(
        self,
        config: SessionConfig,
        *,
        max_load: float = 0.0,
        sessions: Callable[[], int] = lambda: 1,
        owing: Callable[[], bool] = lambda: True,
        taken_in: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
        loop_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """`max_load` bounds `expected_load`, 0 for no bound; `sessions` tells how many streams are open.

        `owing` tells whether anybody waits for an answer that is due, as `Engine.owing` does. `taken_in` tells what
        came from clients so far, as `Metrics.taken_in` does. `clock` gives seconds, `loop_clock` the processor
        seconds of the thread that asks, which is the event loop's.
        """
        milliseconds = rungs(config.update_interval_ms, config.max_update_interval_ms)
        self._samples = tuple(step * SAMPLE_RATE // 1000 for step in milliseconds)
        self._max_load = max_load
        self._sessions = sessions
        self._owing = owing
        self._taken_in = taken_in
        self._clock = clock
        self._loop_clock = loop_clock
        self._ladder = IntervalLadder([step / 1000 for step in milliseconds])
        self._meter = LoadMeter()
        self._cost = StreamCost()
        self._looked = clock()
        self._meter.tick(self._looked, 0, loop_clock(), taken_in())

    @property
    def interval(self) -> int:
        """Samples between two updates of a stream."""
        self._catch_up()
        return self._samples[self._ladder.rung]

    @property
    def batch_seconds(self) -> float:
        """Seconds that a batch may take."""
        return BATCH_SHARE * self._ladder.interval

    @property
    def expected_load(self) -> float:
        """Share of its time that the device, or the event loop, would be needed with one stream more."""
        return expected(self._outlook())

    def has_room_for(self, streams: int) -> bool:
        """Say whether so many more streams can be served."""
        return not self._max_load or has_room(self._outlook(), self._max_load, streams)

    def calibrate(self, update_seconds: float) -> None:
        """Take the device time of one update for what streams cost, until there are any."""
        self._cost.estimate(update_seconds, self._samples[-1] / SAMPLE_RATE)

    def batch_done(self, batch: Batch) -> None:
        """Take note of a batch."""
        self._meter.add(self._clock(), batch)
        self._catch_up()

    def batch_failed(self, size: int) -> None:
        """Take no note: what fails says nothing of the load."""

    def _outlook(self) -> Outlook:
        self._catch_up()
        load, late = self._meter.read(), self._ladder.exhausted
        return Outlook(self._sessions(), load, self._stretch, late, self._cost.price)

    @property
    def _stretch(self) -> float:
        """The widest interval over the interval of now."""
        return self._samples[-1] / self._samples[self._ladder.rung]

    def _catch_up(self) -> None:
        """Look at every period that has gone by since the last look."""
        now = self._clock()
        periods = int((now - self._looked) / PERIOD_S)
        if periods < 1:
            return
        passed, self._looked = now - self._looked, now
        self._meter.tick(now, self._sessions(), self._loop_clock(), self._taken_in())
        load = self._meter.read()
        self._cost.learn(passed, load, self._stretch)
        before = self._ladder.interval
        quiet = None if self._owing() else 0.0
        wait = self._meter.take_wait()
        period = Period(quiet if wait is None else wait, load.busy)
        self._ladder.observe(period)
        for _ in range(min(periods - 1, IDLE_PERIODS)):
            self._ladder.observe(Period(quiet, 0.0))
        if self._ladder.interval != before:
            logger.info("updates every %g s", self._ladder.interval, extra={"wait": period.wait, "busy": period.busy})
