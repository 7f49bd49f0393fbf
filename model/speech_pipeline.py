"""Speech recognition in one call: a file or samples in, text out.

Source: transformers pipelines/automatic_speech_recognition.py, for Whisper and without chunks of a fixed length: long
recordings go through `generate`'s own long form.
"""

from __future__ import annotations

import copy
import io
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import soundfile
import soxr
import torch

from model.features import WhisperFeatureExtractor
from model.generation.segments import Segment
from model.generation_config import GenerationConfig
from model.processor import WhisperProcessor
from model.tokenizer import WhisperTokenizer
from model.types import SAMPLE_RATE, SAMPLES_PER_TIMESTAMP, Samples
from model.whisper import WhisperForConditionalGeneration

TASK = "automatic-speech-recognition"
BEAMS = 5
"""As openai/whisper's command searches, and the reference's pipeline, whatever the checkpoint's configuration says."""
MOST_TOKENS = 256
"""Of a window, where the checkpoint's configuration has no `max_length`, likewise."""
ROOM = 4
"""For what starts a window, in a decoder with so few positions that the reference would refuse."""
SECONDS_PER_STAMP = SAMPLES_PER_TIMESTAMP / SAMPLE_RATE
FETCH_TIMEOUT_S = 60.0
MOST_BYTES = 1 << 30
"""Of a sound file that is fetched."""
Recorded: TypeAlias = str | Path | bytes | Samples | Mapping[str, Any]
"""One recording."""


class SpeechRecognitionPipeline:
    """Call it with audio."""

    def __init__(self, model: WhisperForConditionalGeneration, processor: WhisperProcessor) -> None:
        self.model = model
        self.processor = processor

    def __call__(
        self,
        inputs: Recorded | Sequence[Recorded],
        *,
        return_timestamps: bool | None = None,
        generate_kwargs: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Transcribe one recording, or a list of them one after the other.

        inputs: path, address (http, https) or content of a sound file, (n,) samples at the extractor's rate, or a
        dictionary with them as `raw` or `array` and their `sampling_rate`. return_timestamps: also return `chunks`, the
        segments with text and `timestamp` (start, end) in seconds; more than 30 s need it; also on where the network's
        generation configuration says so. generate_kwargs: arguments of `generate`.

        Returns a dictionary with `text`, or a list of them. Raises ValueError for what is no audio, and what `generate`
        raises.
        """
        if isinstance(inputs, (list, tuple)):
            return [self._one(each, return_timestamps, generate_kwargs or {}) for each in inputs]
        return self._one(cast("Recorded", inputs), return_timestamps, generate_kwargs or {})

    def _one(
        self, inputs: Recorded, return_timestamps: bool | None, generate_kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Transcribe one recording."""
        if return_timestamps not in {None, True, False}:
            raise ValueError(
                f"return_timestamps must be true or false, got {return_timestamps!r}; for times of words call "
                "`generate` with return_token_timestamps=True"
            )
        extractor = self.processor.feature_extractor
        audio = _samples(inputs, extractor.sampling_rate)
        long = len(audio) > extractor.n_samples
        features = extractor(
            audio,
            sampling_rate=extractor.sampling_rate,
            truncation=not long,
            padding="longest" if long else "max_length",
            return_attention_mask=True,
            return_tensors="pt",
        ).to(self.model.device, dtype=self.model.dtype)
        config = copy.copy(self.model.generation_config)
        config.num_beams = BEAMS
        bounded = config.max_length not in {None, GenerationConfig.defaults()["max_length"]}
        config.max_new_tokens = None if bounded else min(MOST_TOKENS, self.model.config.max_target_positions - ROOM)
        return_timestamps = return_timestamps or bool(getattr(config, "return_timestamps", False))
        given = {"generation_config": config} | dict(generate_kwargs)
        if return_timestamps:
            given |= {"return_timestamps": True, "return_segments": True}
        found: Any = self.model.generate(**features, **given)
        if not return_timestamps:
            return {"text": self.processor.batch_decode(found, skip_special_tokens=True)[0]}
        segments = found["segments"][0]
        chunks = [
            {"timestamp": time, "text": self.processor.decode(segment["tokens"], skip_special_tokens=True)}
            for segment, time in zip(segments, self._times(segments), strict=True)
        ]
        return {"text": "".join(chunk["text"] for chunk in chunks), "chunks": [one for one in chunks if one["text"]]}

    def _times(self, segments: Sequence[Segment]) -> Iterator[tuple[float, float | None]]:
        """Yield start and end of each segment in seconds, as its own timestamps have them.

        `generate` counts a window that is not divided from its beginning, whatever its first timestamp. Where none
        closes it, the text ends before the next begins; at the end of the recording nobody knows, and the end is None.
        """
        zero = self.processor.tokenizer.timestamp_begin
        starts: list[float] = []
        ends: list[float | None] = []
        for segment in segments:
            start, end, tokens = float(segment["start"]), float(segment["end"]), segment["tokens"].tolist()
            stamps = [(token - zero) * SECONDS_PER_STAMP for token in tokens if token >= zero]
            closed = len(stamps) > 1 and tokens[-1] >= zero
            undivided = not closed or abs(end - start - stamps[-1]) < SECONDS_PER_STAMP / 2
            leads = bool(stamps) and tokens[0] >= zero
            starts.append(round(start + stamps[0] if undivided and leads else start, 2))
            ends.append(round(end, 2) if closed else None)
        for begin, found, following in zip_longest(starts, ends, starts[1:]):
            yield begin, following if found is None else found


def pipeline(
    task: str = TASK,
    model: str | Path | WhisperForConditionalGeneration | None = None,
    *,
    tokenizer: WhisperTokenizer | None = None,
    feature_extractor: WhisperFeatureExtractor | None = None,
    processor: WhisperProcessor | None = None,
    dtype: torch.dtype | str | None = None,
    device: int | str | torch.device | None = None,
) -> SpeechRecognitionPipeline:
    """Build a pipeline.

    task: automatic-speech-recognition, the only one there is; model: a network, or any name that `from_pretrained`
    takes; processor: if None, tokenizer and feature_extractor, of which the one not given is the one that lies with
    the model; device: a torch device, or the number of a GPU, the first one if None; the CPU if that is negative, or if
    there is no GPU.
    Raises ValueError for another task, or a network without a processor.
    """
    if task != TASK:
        raise ValueError(f"task must be {TASK}, got {task!r}")
    if model is None:
        raise ValueError("model must be a name or a network, got None")
    processor = processor or _processor(model, tokenizer, feature_extractor)
    if isinstance(model, WhisperForConditionalGeneration):
        network = model
    else:
        network = WhisperForConditionalGeneration.from_pretrained(model, dtype=dtype)
    return SpeechRecognitionPipeline(network.to(_place(device)).eval(), processor)


def _processor(
    model: str | Path | WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizer | None,
    extractor: WhisperFeatureExtractor | None,
) -> WhisperProcessor:
    """Put together what was given, and what lies with the model of the rest. Raises ValueError where nothing lies."""
    if isinstance(model, WhisperForConditionalGeneration):
        if tokenizer is None or extractor is None:
            raise ValueError("a network that is loaded already needs its processor")
        return WhisperProcessor(extractor, tokenizer)
    extractor = WhisperFeatureExtractor.from_pretrained(model) if extractor is None else extractor
    return WhisperProcessor(extractor, WhisperTokenizer.from_pretrained(model) if tokenizer is None else tokenizer)


def _place(device: int | str | torch.device | None) -> torch.device:
    """Return what a device is (transformers pipelines/base.py, Pipeline.__init__, without hardware other than CUDA)."""
    number = 0 if device is None else device
    if not isinstance(number, int):
        return torch.device(number)
    return torch.device("cuda", number) if number >= 0 and torch.cuda.is_available() else torch.device("cpu")


def _samples(inputs: Recorded, rate: int) -> Samples:
    """Return mono samples at `rate`, (n,) float32."""
    if isinstance(inputs, Mapping):
        audio = inputs.get("raw", inputs.get("array"))
        if audio is None or "sampling_rate" not in inputs:
            raise ValueError(f"a dictionary needs raw or array, and sampling_rate, got {sorted(inputs)}")
        given = int(inputs["sampling_rate"])
    elif isinstance(inputs, (str, Path, bytes)):
        source = _source(inputs)
        audio, given = soundfile.read(source, dtype="float32", always_2d=True)
        audio = audio.mean(axis=1)
    else:
        audio, given = inputs, rate
    samples = np.asarray(audio, dtype=np.float32)
    if samples.ndim == 2:  # as the reference takes it: channels first
        samples = samples.mean(axis=0)
    if samples.ndim != 1:
        raise ValueError(f"audio must be (n,) or (channels, n), got {samples.shape}")
    return samples if given == rate else soxr.resample(samples, given, rate).astype(np.float32)


def _source(inputs: str | Path | bytes) -> Path | io.BytesIO:
    """Return what a sound file is read from. Raises OSError for an address that does not answer, or not in time."""
    if isinstance(inputs, str) and inputs.startswith(("http://", "https://")):
        with urllib.request.urlopen(inputs, timeout=FETCH_TIMEOUT_S) as response:  # noqa: S310  # the scheme is checked
            content = response.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"{inputs} has more than {MOST_BYTES} bytes: fetch it to a file and give its path")
        return io.BytesIO(content)
    return io.BytesIO(inputs) if isinstance(inputs, bytes) else Path(inputs)
