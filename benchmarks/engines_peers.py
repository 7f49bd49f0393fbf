"""Other engines of Whisper, each behind one call that answers an update.

"As users get it": the call its documentation shows, with its defaults, the language given (a stream's is known). "Same
work": the same context as ours and greedy decoding. In both the text ends by itself and no fallback is set off, because
the checkpoint says what it is made to say. Threads are given to each in its own way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.engines_work import Work
from model.decoding.encode import MARGIN_FRAMES, STEP_FRAMES
from model.types import HOP, Samples
from model.vocabulary import Vocabulary

LONGEST = 448
"""Positions of the decoder."""


def context_frames(audio: Samples) -> int:
    """Return the log-mel frames of our dynamic context for that audio."""
    wanted = -(-len(audio) // HOP) + MARGIN_FRAMES
    return min(-(-wanted // STEP_FRAMES) * STEP_FRAMES, 3000)


class FasterWhisper:
    """faster-whisper's `transcribe`: 30 s, beams of 5."""

    def __init__(self, folder: Path, threads: int, compute_type: str) -> None:
        """folder: a CTranslate2 model."""
        from faster_whisper import WhisperModel  # noqa: PLC0415  # only where it is measured

        self.model: Any = WhisperModel(str(folder), device="cpu", compute_type=compute_type, cpu_threads=threads)

    def __call__(self, work: Work) -> str:
        """Answer one update."""
        segments, _ = self.model.transcribe(work.audio, language="en")
        return "".join(segment.text for segment in segments)


class CTranslate2(FasterWhisper):
    """faster-whisper's engine without its window of 30 s: greedy, on our context."""

    def __init__(self, folder: Path, threads: int, compute_type: str) -> None:
        """folder: a CTranslate2 model."""
        super().__init__(folder, threads, compute_type)
        self._vocabulary = Vocabulary.from_pretrained(folder)

    def __call__(self, work: Work) -> str:
        """Answer one update."""
        from ctranslate2 import StorageView  # noqa: PLC0415  # only where it is measured

        frames = context_frames(work.audio)
        heard = self.model.feature_extractor(work.audio, padding=0)[:, :frames]
        features = np.pad(heard, ((0, 0), (0, frames - heard.shape[1])), constant_values=heard.min())
        audio = self.model.model.encode(StorageView.from_array(np.ascontiguousarray(features[None])))
        start = list(self._vocabulary.sot_sequence("en"))
        (result,) = self.model.model.generate(audio, [start], beam_size=1, max_length=LONGEST)
        return self._vocabulary.decode(result.sequences_ids[0])


class WhisperCpp:
    """whisper.cpp by pywhispercpp, weights in q8_0."""

    def __init__(self, path: Path, threads: int, *, matched: bool) -> None:
        """path: a ggml file; matched: on our context rather than 30 s."""
        from pywhispercpp.model import Model  # noqa: PLC0415  # only where it is measured

        self._matched = matched
        self._model: Any = Model(
            str(path), n_threads=threads, print_realtime=False, print_progress=False, redirect_whispercpp_logs_to=None
        )

    def __call__(self, work: Work) -> str:
        """Answer one update."""
        context = context_frames(work.audio) // 2 if self._matched else 0
        segments = self._model.transcribe(work.audio, language="en", audio_ctx=context, print_progress=False)
        return "".join(segment.text for segment in segments)


class Transformers:
    """Hugging Face transformers: `generate` in float32, 30 s."""

    def __init__(self, folder: Path, threads: int) -> None:
        """folder: in Hugging Face layout."""
        from transformers import WhisperForConditionalGeneration, WhisperProcessor  # noqa: PLC0415  # as above

        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        self._processor: Any = WhisperProcessor.from_pretrained(str(folder))
        self._model: Any = WhisperForConditionalGeneration.from_pretrained(str(folder))

    def __call__(self, work: Work) -> str:
        """Answer one update."""
        heard = self._processor(work.audio, sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            tokens = self._model.generate(
                heard.input_features, language="en", task="transcribe", return_timestamps=True
            )
        text: str = self._processor.decode(tokens[0], skip_special_tokens=True)
        return text
