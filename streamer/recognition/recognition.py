"""Recognition as one server has it: the engine, the load it is under, what mends it, and whether it happens."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, thread_time

from model.types import Recognizer
from streamer.config import Config
from streamer.metrics import Metrics
from streamer.recognition.device import Device, DeviceThread, RemoteDevice
from streamer.recognition.engine import Engine, at_once
from streamer.recognition.governor import Governor
from streamer.recognition.recovery import Recovery
from streamer.recognition.stall import PATIENCE_S, StallDetector
from streamer.recognition.step_metrics import StepMetrics
from streamer.recognition.trial import warm_up
from streamer.recognition.worker_metrics import WorkerMetrics
from streamer.worker.supervisor import Supervisor


class Recognition:
    """Of one recognizer, in this process or in a child of its own."""

    def __init__(
        self,
        recognizer: Recognizer | Supervisor,
        config: Config,
        metrics: Metrics,
        *,
        sessions: Callable[[], int],
        clock: Callable[[], float] = monotonic,
        loop_clock: Callable[[], float] = thread_time,
        make_device: Callable[[str], Device] = DeviceThread,
    ) -> None:
        """`sessions` tells how many are open; `make_device` makes what a recognizer of this process runs on.

        `clock` gives seconds, `loop_clock` the processor seconds of the event loop's thread.
        """
        self._clock = clock
        self.governor = governor = Governor(
            config.session,
            max_load=config.server.max_load,
            sessions=sessions,
            owing=lambda: self.engine.owing,
            taken_in=lambda: metrics.taken_in,
            clock=clock,
            loop_clock=loop_clock,
        )
        supervisor = recognizer if isinstance(recognizer, Supervisor) else None
        self.engine = Engine(
            recognizer,
            config.model.max_batch,
            observers=(metrics, governor),
            batch_seconds=lambda: governor.batch_seconds,
            clock=clock,
            make_device=make_device if supervisor is None else lambda _: RemoteDevice(),
            available=at_once if supervisor is None else supervisor.available,
        )
        self.recovery = Recovery(self.engine, supervisor, clock)
        self._stalls = StallDetector(
            lambda: self.engine.waiting_since,
            lambda: self.engine.batches,
            # A supervisor mends what it can first.
            patience_s=PATIENCE_S if supervisor is None else max(PATIENCE_S, 2 * config.worker.batch_timeout_s),
            clock=clock,
        )
        self.warm = False
        """Whether the model was seen to decode."""
        metrics.watch_load(governor, self.engine)
        # What only some recognizers have.
        if counts := getattr(recognizer, "step_counts", None):
            metrics.registry.register(StepMetrics(counts))
        if supervisor is not None:
            metrics.registry.register(WorkerMetrics(supervisor))

    def happens(self) -> bool:
        """Say whether a stream would be recognised now."""
        return self.warm and self.engine.ready and self.recovery.serving and not self._stalls.stalled()

    def alive(self) -> bool:
        """Say whether the daemon does its work; asked from the event loop, so a stuck loop does not ask."""
        return (self.engine.ready or self.recovery.mends) and not self._stalls.stalled()

    def has_room_for(self, streams: int) -> bool:
        """Say whether there is time for so many streams more."""
        return self.governor.has_room_for(streams)

    def has_memory(self) -> bool:
        """Say whether, as far as is known, one more stream would not be one too many."""
        return self.recovery.has_memory

    async def warm_up(self) -> None:
        """Decode before anybody is let in. Raises EngineError if the model cannot."""
        self.governor.calibrate(await warm_up(self.engine, self._clock))
        self.warm = True
