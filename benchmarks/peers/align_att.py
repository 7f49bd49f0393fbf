"""SimulStreaming (ufal/SimulStreaming): AlignAtt over its own copy of openai/whisper, with its defaults."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.emission import Run
from benchmarks.peers.absent import find, loading, revision
from benchmarks.peers.calls import Calls
from benchmarks.peers.chunked import ChunkLoop
from benchmarks.peers.silero import silero
from benchmarks.peers.weights import register_openai, write_openai
from benchmarks.speech import Speech
from model.types import SAMPLE_RATE

NAME = "SimulStreaming"
WHISPER = "simulstreaming.whisper.simul_whisper.whisper"
MODEL = "streamer-demo"
MAIN = "simulstreaming.whisper.whisper_streaming.whisper_online_main"


class AlignAtt:
    """One stream after another through `SimulWhisperOnline`.

    folder: a clone of ufal/SimulStreaming. work: where the weights in openai's layout go.
    vac: with the program's voice activity controller, in its own pieces of 0.04 s.
    audio: seconds of audio it keeps, if not its default.
    model: whose weights, as `checkpoint_folder` takes it. Raises NotMeasured if it cannot run here.
    """

    def __init__(
        self,
        folder: Path | None,
        work: Path,
        *,
        vac: bool = False,
        finish: bool = False,
        audio: float | None = None,
        model: str = "demo",
    ) -> None:
        changes = (" + VAC" if vac else "", f", {audio:g} s of audio" if audio else "", " + finish()" if finish else "")
        self.name = NAME + "".join(changes)
        program = find(self.name, "simulstreaming_whisper", folder)
        with loading(self.name), silero(self.name) if vac else nullcontext():
            whisper, main = import_module(WHISPER), import_module(MAIN)
            weights = write_openai(work, MODEL, whisper, model)
            register_openai(weights, whisper, model)
            options = _options(program, main, weights, vac=vac, audio=audio)
            asr, online = main.asr_factory(options, program.simul_asr_factory)
            asr.warmup(torch.zeros(SAMPLE_RATE))  # as its simulation does it
        self._updates, self._passes = Calls(asr.model, "infer"), Calls(asr.model, "logits")
        chunk = options.vac_chunk_size if vac else options.min_chunk_size
        self._loop = ChunkLoop(self.name, online, lambda answer: str(answer.get("text", "")), chunk, finish)
        self.settings = ", ".join(
            (
                *revision(folder),
                f"AlignAtt, float32, beams {options.beams}",
                f"chunks of {options.min_chunk_size:g} s, frame threshold {options.frame_threshold}",
                f"audio of {options.audio_max_len:g} s",
                "VAC (Silero, 0.5 s of silence end an utterance)" if vac else "no VAD",
                "finish() called" if finish else "no finish(), as its server",
            )
        )

    def run(self, speech: Speech) -> Run:
        """Hear one stream from its beginning to its end. Raises NotMeasured if the program fails."""
        updates, passes = self._updates.number, self._passes.number
        emissions, clock = self._loop.hear(speech)
        return Run(tuple(emissions), clock.busy, self._updates.number - updates, self._passes.number - passes)


def _options(program: Any, main: Any, weights: Path, *, vac: bool, audio: float | None) -> argparse.Namespace:
    """Take the program's own defaults, but for its log, which it writes in full by default."""
    parser = argparse.ArgumentParser()
    main.processor_args(parser)
    program.simulwhisper_args(parser)
    chosen = ["--model_path", str(weights), "--log-level", "WARNING"]
    chosen += ["--vac"] if vac else []
    chosen += ["--audio_max_len", str(audio)] if audio else []
    return parser.parse_args(chosen)
