"""WhisperLive (collabora/WhisperLive): its faster-whisper backend and the rule that commits repeats, with its defaults.

Its own client class and its own loop run; only their clock, event and socket are ours (see stage.py).
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.emission import Run
from benchmarks.peers.absent import NotMeasured, find, loading, revision
from benchmarks.peers.clock import StreamClock
from benchmarks.peers.stage import PACKET, PATIENCE, Stage
from benchmarks.peers.weights import write_ctranslate2
from benchmarks.speech import Speech
from model.types import SAMPLE_RATE, Samples

NAME = "WhisperLive"
REPEATS = 10
"""What its client asks for and its server assumes (`same_output_threshold`); the class alone has 7."""


class RepeatRule:
    """One stream after another through `ServeClientFasterWhisper.speech_to_text`.

    folder: the one that holds the package `whisper_live`. work: where the converted weights go.
    vad: with faster-whisper's filter of speech, as the program's client asks for by default.
    model: whose weights, as `checkpoint_folder` takes it. Raises NotMeasured if it cannot run here.
    """

    def __init__(self, folder: Path | None, work: Path, *, vad: bool = True, model: str = "demo") -> None:
        self.name = NAME if vad else f"{NAME} without VAD"
        backend = find(self.name, "whisper_live.backend.faster_whisper_backend", folder)
        self._vad = vad
        with loading(self.name):
            self._base, package = import_module("whisper_live.backend.base"), import_module("whisper_live")
            self._class = _driven(backend, write_ctranslate2(work, model))
            silence = Speech(np.zeros(SAMPLE_RATE, np.float32), ())
            connection = self._connect(Stage(StreamClock(silence)))
            connection.use_vad = False  # or silence would not reach the model
            connection.transcribe_audio(silence.samples)  # warm
        self.settings = ", ".join(
            (
                package.__version__,
                *revision(folder),
                f"repeat rule, {REPEATS} repeats, faster-whisper {connection.compute_type}",
                f"decoding without a pause, packets of {PACKET / SAMPLE_RATE:g} s",
                "VAD filter (Silero)" if vad else "no VAD",
                f"its client hangs up after {PATIENCE:g} s of nothing new",
            )
        )

    def run(self, speech: Speech) -> Run:
        """Hear one stream from its beginning to its end. Raises NotMeasured if the program fails."""
        clock = StreamClock(speech)
        stage = Stage(clock)
        client = stage.client = self._connect(stage)
        with patch.object(self._base, "time", stage):
            clock.resume()
            self._base.ServeClientBase.speech_to_text(client)
        if client.failure is not None:
            raise NotMeasured(self.name, f"failed at {clock.now:.1f} s of the stream: {client.failure!r}")
        return Run(tuple(stage.emissions), clock.busy, client.updates)

    def _connect(self, stage: Stage) -> Any:
        """Open a connection with what its server passes on from its client."""
        client = self._class(
            stage, task="transcribe", language="en", client_uid="benchmark", model="demo",
            use_vad=self._vad, same_output_threshold=REPEATS,
        )  # fmt: skip
        client.trans_thread.join()
        client.frames_ready = client.stage = stage
        return client


def _driven(backend: Any, weights: Path) -> Any:
    """Derive a class of its connections whose loop does not start by itself, and whose model is on one thread."""
    base = backend.ServeClientFasterWhisper

    class Driven(base):  # type: ignore[misc, valid-type]  # the program has no types
        failure: Exception | None = None
        updates = 0
        loaded: Any = None

        def create_model(self, device: str) -> None:
            if Driven.loaded is None:
                Driven.loaded = backend.WhisperModel(
                    str(weights), device=device, compute_type=self.compute_type, cpu_threads=1
                )
            self.transcriber = Driven.loaded

        def speech_to_text(self) -> None:
            """Return at once: this is what the thread runs that the constructor starts."""

        def transcribe_audio(self, samples: Samples) -> Any:
            self.updates += 1
            self.stage.heard = self.timestamp_offset + len(samples) / self.RATE
            try:
                return super().transcribe_audio(samples)
            except Exception as error:
                self.failure, self.exit = error, True  # its loop would say so in its log, and go on
                raise

    return Driven
