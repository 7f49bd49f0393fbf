"""Whole recordings to segments and words, on `generate`: long form, several recordings at once.

Source: Radford et al. 2022, section 4.5, for the thresholds and temperatures.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from model.checkpoint import Checkpoint, load_for_recognition
from model.decoding.token_words import WordReader
from model.errors import ModelError
from model.types import HOP, SAMPLE_RATE, Samples, Task, Transcription

Progress = Callable[[Sequence[int]], None]
"""Called with the sample index up to which each recording is decided."""
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PROMPT_SHARE = 2
"""Half of the tokens that earlier text may have are a prompt's at most, where each window is told both: `generate`
alone would take all of both, and leave the windows no room for what is said in them."""
SHORTEST = 16 * HOP
"""Samples below which nothing is said: the frames of the shortest vowel."""


class WhisperTranscriber:
    """Implements `model.types.Transcriber` on `WhisperForConditionalGeneration.generate`."""

    def __init__(self, checkpoint: Checkpoint, *, conditioned: bool | None = None) -> None:
        """conditioned: whether each window is told the text of those before it; None for what the model's card says."""
        self._checkpoint = checkpoint
        self._conditioned = checkpoint.uses_earlier_text if conditioned is None else conditioned
        self._network = checkpoint.model.eval()
        self._words = WordReader(checkpoint.tokenizer)
        self._languages = checkpoint.languages
        self.notice = checkpoint.notice
        """What the operator should know of the model; empty if there is nothing to say."""
        self.card = checkpoint.card("full")

    @classmethod
    def load(
        cls,
        name: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        *,
        offline: bool = False,
        conditioned: bool | None = None,
    ) -> Self:
        """Load a model. Raises ModelError for what cannot be used.

        conditioned: as above; all other parameters as in `WhisperRecognizer.load`.
        """
        return cls(
            load_for_recognition(name, device, precision, threads, offline=offline, alone=True), conditioned=conditioned
        )

    def transcribe(
        self,
        recordings: Sequence[Samples],
        *,
        language: str | None = None,
        task: Task = Task.TRANSCRIBE,
        prompt: str = "",
        progress: Progress | None = None,
    ) -> list[Transcription]:
        """Transcribe recordings of any length, all at once.

        recordings: each (n,) float32 mono at 16 kHz; language: a code of `card.languages`, None to hear it in the first
        30 s of each; prompt: names and topics that may occur, told before every window. Raises ValueError for audio of
        another shape or type, ModelError for a language or task the model does not know and for lack of a GPU's memory.
        """
        for audio in recordings:
            if audio.ndim != 1 or audio.dtype != np.float32:
                raise ValueError(f"audio must be (n,) float32, got {audio.shape} {audio.dtype}")
        self._check(language, task)
        found = [Transcription((), language or "", len(audio)) for audio in recordings]
        places = [place for place, audio in enumerate(recordings) if len(audio) >= SHORTEST]
        if not places:
            return found
        heard = [recordings[place] for place in places]
        inputs = self._features(heard)
        languages = self._detected(inputs["input_features"]) if language is None else [language] * len(heard)
        options = self._options(languages, task, prompt)
        if progress is not None:
            options["monitor_progress"] = _Monitor(progress, places, [len(audio) for audio in recordings])
        try:
            with torch.inference_mode():
                result: Any = self._network.generate(**(inputs | options))
        except torch.OutOfMemoryError as error:
            many = f"{len(heard)} recordings at once: fewer need less" if len(heard) > 1 else "a recording"
            raise ModelError(f"{self.card.device} has not enough memory for {many} ({error})") from error
        for place, segments, code in zip(places, result["segments"], languages, strict=True):
            words = self._words.segments(segments, recordings[place], code)
            found[place] = Transcription(words, code, len(recordings[place]))
        return found

    def _check(self, language: str | None, task: Task) -> None:
        """Refuse what the model does not know."""
        if language is not None and language not in self.card.languages:
            raise ModelError(f"language must be one of {', '.join(sorted(self.card.languages))}, got {language!r}")
        if task is Task.TRANSLATE and not self._languages:
            raise ModelError(f"task must be transcribe: {self.card.name} knows English only, got 'translate'")

    def _features(self, recordings: Sequence[Samples]) -> dict[str, Any]:
        """Return log-mel and mask of recordings, padded to the longest and at least to one window."""
        extractor = self._checkpoint.features
        window = extractor.n_samples
        longest = max(window, *(len(audio) for audio in recordings))
        batch = extractor(
            list(recordings),
            truncation=False,
            padding="max_length",
            max_length=longest,
            return_attention_mask=True,
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
        )
        return {
            "input_features": batch["input_features"].to(self._network.device, self._network.dtype),
            "attention_mask": batch["attention_mask"].to(self._network.device),
        }

    def _detected(self, features: Tensor) -> list[str]:
        """Return the language of each recording, by its first window."""
        if not self._languages:
            return ["en"] * len(features)
        if len(self._languages) == 1:
            return list(self._languages) * len(features)
        codes = {token: code for code, token in self._languages.items()}
        config = copy.copy(self._network.generation_config)
        config.lang_to_id = {f"<|{code}|>": token for token, code in codes.items()}
        with torch.inference_mode():
            tokens = self._network.detect_language(features, generation_config=config).tolist()
        return [codes[token] for token in tokens]

    def _options(self, languages: Sequence[str], task: Task, prompt: str) -> dict[str, Any]:
        """Return the arguments of `generate`."""
        options: dict[str, Any] = {
            "return_timestamps": True,
            "return_segments": True,
            "return_token_timestamps": True,
            "condition_on_prev_tokens": self._conditioned,
            "temperature": TEMPERATURES,
            "compression_ratio_threshold": 1.35,
            "logprob_threshold": -1.0,
            "no_speech_threshold": 0.6,
        }
        if self._languages:
            options |= {"language": list(languages), "task": str(task)}
        if prompt:
            vocabulary = self._checkpoint.tokenizer
            room = self._checkpoint.config.max_target_positions // 2 - 1
            most = room // PROMPT_SHARE if self._conditioned else room - 1
            tokens = vocabulary.encode(" " + prompt.strip())[-most:]
            options["prompt_ids"] = torch.tensor([vocabulary.startofprev, *tokens])
            options["prompt_condition_type"] = "all-segments" if self._conditioned else "first-segment"
            if self._conditioned:
                config = options["generation_config"] = copy.copy(self._network.generation_config)
                config.earlier_tokens = room - len(tokens)  # type: ignore[attr-defined]  # a field of ours
        return options


class _Monitor:
    """Turns frames, as `generate` reports them, into samples of all recordings."""

    def __init__(self, progress: Progress, places: Sequence[int], ends: Sequence[int]) -> None:
        """places: of the recordings that `generate` transcribes among all; ends: their lengths."""
        self._progress = progress
        self._places = places
        self._ends = ends
        self._decided = list(ends)

    def __call__(self, frames: Tensor) -> None:
        """Take (recordings, 2): where the next window starts, and how many frames there are."""
        for place, frame in zip(self._places, frames[:, 0].tolist(), strict=True):
            self._decided[place] = min(int(frame) * HOP, self._ends[place])
        self._progress(tuple(self._decided))
