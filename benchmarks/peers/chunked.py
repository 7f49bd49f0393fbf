"""The loop around a processor that takes audio in chunks and says after each what it is sure of.

whisper_streaming and SimulStreaming share it. Both servers wait for a minimal chunk of audio, or take all that came
while they were busy, and neither calls `finish()` when the audio ends: what was not confirmed by then is lost. The
simulations that both programs bring do call it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.emission import Emission
from benchmarks.peers.absent import NotMeasured
from benchmarks.peers.clock import Meter, StreamClock
from benchmarks.peers.transcript import Transcript
from benchmarks.speech import Speech


@dataclass(frozen=True, slots=True)
class ChunkLoop:
    """How one program is driven."""

    name: str
    online: Any
    """Its processor: init(), insert_audio_chunk(), process_iter(), finish(); `is_currently_final` with a VAC."""
    text_of: Callable[[Any], str]
    """What an answer says for good."""
    chunk: float
    """Seconds of new audio to wait for."""
    finish: bool = False
    """Whether finish() is called at the end."""

    def hear(self, speech: Speech, meter: Meter = time.process_time) -> tuple[list[Emission], StreamClock]:
        """Let it hear one stream. Raises NotMeasured if it fails."""
        clock, transcript = StreamClock(speech, meter), Transcript()
        emissions: list[Emission] = []
        for answer, final in self._answers(clock):
            words, rewritten = transcript.append(self.text_of(answer))
            if words or final:
                emissions.append(clock.emit(words, rewritten=rewritten, final=final))
        return emissions, clock

    def _answers(self, clock: StreamClock) -> Iterator[tuple[Any, bool]]:
        """Yield each answer, and whether it ends an utterance."""
        self.online.init()
        while (samples := clock.take(self.chunk)) is not None:
            with self._work(clock):
                self.online.insert_audio_chunk(samples)
                final = bool(getattr(self.online, "is_currently_final", False))
                answer = self.online.process_iter()
            yield answer, final
        if self.finish:
            with self._work(clock):
                answer = self.online.finish()
            yield answer, True

    @contextmanager
    def _work(self, clock: StreamClock) -> Iterator[None]:
        try:
            with clock.work():
                yield
        except Exception as error:  # whatever goes wrong in a peer, it becomes a row without figures
            raise NotMeasured(self.name, f"failed at {clock.now:.1f} s of the stream: {error!r}") from error
