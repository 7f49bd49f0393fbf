"""What is done when recognition fails: who is told, who is let in meanwhile, what is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from streamer.core.events import Warned
from streamer.recognition.device import DeviceLost
from streamer.recognition.engine import Engine
from streamer.recognition.runner import EngineError
from streamer.recognition.trial import prove
from streamer.worker.causes import Cause, Loss
from streamer.worker.supervisor import Supervisor

RETRY_S = 5.0
"""Between two trials: a stream all of whose requests fail asks for one again and again."""
MEMORY_PAUSE_S = 60.0
"""No new streams for as long after a recognizer ran out of memory."""
RESTARTED = Warned("engine_restarted", "recognition is started again; captions go on where they were")


class Recovery:
    """Of one server's recognition."""

    def __init__(
        self,
        engine: Engine,
        supervisor: Supervisor | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`supervisor` keeps the recognizer's process, if it has one; `clock` gives seconds."""
        self._engine = engine
        self._supervisor = supervisor
        self._clock = clock
        self._closed_until = clock()
        self.on_restart: Callable[[Warned], None] = lambda _: None
        """Hears what is to be said to all clients."""
        if supervisor is not None:
            supervisor.on_loss = self._lose

    @property
    def serving(self) -> bool:
        """Whether there is a recognizer to ask."""
        return self._supervisor is None or self._supervisor.serving

    @property
    def has_memory(self) -> bool:
        """Whether, as far as is known, one more stream would not be one too many."""
        return self._clock() >= self._closed_until

    @property
    def mends(self) -> bool:
        """Whether what fails is in a process of its own, which is replaced: to end the daemon would mend no more."""
        return self._supervisor is not None

    async def run(self) -> None:
        """Find out, whenever it is in doubt, whether recognition happens: at once, and nobody else is let in to try.

        Where it does not, and runs in a process of its own, that is replaced.
        """
        while True:
            await self._engine.doubted()
            try:
                await prove(self._engine)
            except EngineError as error:  # the engine has logged it
                if self._supervisor is not None and not isinstance(error.__cause__, DeviceLost):
                    self._supervisor.renew("every request failed")
            await asyncio.sleep(RETRY_S)

    def _lose(self, loss: Loss) -> None:
        if loss.cause is Cause.MEMORY:
            self._closed_until = self._clock() + MEMORY_PAUSE_S
        self.on_restart(RESTARTED)
