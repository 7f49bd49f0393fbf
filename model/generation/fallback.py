"""One window of several recordings, decoded at rising temperatures until each is good enough.

Source: Radford et al. 2022, section 4.5; transformers generation_whisper.py `generate_with_fallback`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from model.generation.arguments import Arguments
from model.generation.judgement import Verdict, average_log_probability, token_log_probabilities
from model.generation.outputs import GenerateOutput
from model.generation.processors import WhisperNoSpeechDetection
from model.generation.prompts import Prompt
from model.generation.results import row_of
from model.generation.search import search
from model.generation.token_times import recorded_attention, token_times
from model.generation.tokens import token_ids
from model.generation.windows import AudioWindows, Place

if TYPE_CHECKING:
    from model.whisper import WhisperForConditionalGeneration


@dataclass(frozen=True, slots=True)
class Decoded:
    """One window of one recording."""

    tokens: Tensor
    """(n,) without prompt, padding and end of text."""
    result: Tensor | dict[str, Any]
    """The search's whole sequence, or all that it returned, of this recording."""
    output: Tensor | GenerateOutput
    """Of the search that decided, for all its recordings."""
    verdict: Verdict
    certain: bool
    """Whether the temperature was low enough for the text to lead what follows."""
    log_probabilities: Tensor | None = None
    """Of the tokens, (n,), if there is a bound on them."""

    @property
    def token_times(self) -> Tensor | None:
        """Seconds in the window at which the sequence's tokens start, if they were asked for."""
        return self.result.get("token_timestamps") if isinstance(self.result, dict) else None


@dataclass(slots=True)
class WindowDecoder:
    """Decodes the windows of one call of `generate`."""

    model: WhisperForConditionalGeneration
    arguments: Arguments
    audio: AudioWindows
    processors: Sequence[Any]
    search_options: dict[str, Any] = field(default_factory=dict)
    """Named arguments of the searches; a cache is for the first one only."""
    sampled: bool = False
    """Whether a window was sampled. From then on there are no more beams, as in the reference."""

    def decode(self, places: Sequence[Place], prompt: Prompt, audible: Sequence[int] | None) -> list[Decoded]:
        """Decode one window of each of some recordings.

        audible: frames of audio from the window on, for times of tokens; None if not known.
        """
        for processor in self.processors:
            if hasattr(processor, "set_begin_index"):
                processor.set_begin_index(prompt.ids.shape[1])
        found: dict[int, Decoded] = {}
        rows = list(range(len(places)))
        for temperature in self.arguments.temperatures:
            output = self._search([places[row] for row in rows], prompt.rows(rows), temperature)
            if self.arguments.token_times and not isinstance(output, Tensor):
                frames = None if audible is None else [audible[row] for row in rows]
                self._add_times(output, prompt.ids.shape[1], frames)
            for index, row in enumerate(rows):
                found[row] = self._judged(output, index, prompt.ids.shape[1], temperature)
            rows = [row for row in rows if found[row].verdict is Verdict.RETRY]
            if not rows:
                break
        return [found[row] for row in range(len(places))]

    def _search(self, places: Sequence[Place], prompt: Prompt, temperature: float | None) -> Tensor | GenerateOutput:
        """Search at one temperature; above 0 by drawing."""
        config = copy.copy(self.arguments.config)
        # What the caller's processors stand for was taken out of the configuration; the rest is for the search.
        config.suppress_tokens = config.begin_suppress_tokens = None
        config.do_sample = temperature is not None and temperature > 0
        config.temperature = temperature if config.do_sample else 1.0
        self.sampled = self.sampled or config.do_sample
        if self.sampled:
            config.num_beams = 1
        if config.max_length is not None:
            config.max_length = min(config.max_length, self.model.config.max_target_positions)
        assisted = "assistant_model" in self.search_options and self.audio.has_features
        output = search(
            self.model,
            prompt.ids,
            self.audio.encode(places),
            config,
            processors=self.processors,
            decoder_attention_mask=prompt.mask,
            input_features=self.audio.features(places) if assisted else None,
            **self.search_options,
        )
        self.search_options.pop("past_key_values", None)
        return output

    def _add_times(self, output: GenerateOutput, prompt_length: int, frames: Sequence[int] | None) -> None:
        """Write times into an output."""
        assert output.cross_attentions is not None, "output_attentions asks for them"
        attention = recorded_attention(
            output.cross_attentions,
            self.arguments.config.alignment_heads,
            prompt_length,
            output.get("beam_indices"),
        )
        output["token_timestamps"] = token_times(
            attention, prompt_length, frames, self.model.config.median_filter_width
        )

    def _judged(
        self, output: Tensor | GenerateOutput, index: int, prompt_length: int, temperature: float | None
    ) -> Decoded:
        """Cut one recording out of an output and judge it."""
        config = self.arguments.config
        sequence = output[index] if isinstance(output, Tensor) else output["sequences"][index]
        ends = set() if config.eos_token_id is None else set(token_ids(config.eos_token_id))
        tokens = _unpadded(sequence[prompt_length:], config.pad_token_id, ends)
        chances = None
        if self.arguments.thresholds.log_probability is not None:
            chances = token_log_probabilities(self._scores(output, index), tokens, temperature or 0.0)
        verdict = self._verdict(index, tokens, chances)
        if len(tokens) and int(tokens[-1]) in ends:
            tokens = tokens[:-1]
        certain = (temperature or 0.0) < 0.5
        return Decoded(tokens, self._result(output, index), output, verdict, certain, chances)

    def _verdict(self, index: int, tokens: Tensor, chances: Tensor | None) -> Verdict:
        """Judge tokens, the end of text included."""
        thresholds = self.arguments.thresholds
        log_probability = 0.0 if chances is None else average_log_probability(chances)
        no_speech = 0.0
        if thresholds.no_speech is not None:
            detector = next(p for p in self.processors if isinstance(p, WhisperNoSpeechDetection))
            no_speech = float(detector.no_speech_prob[index])
        return thresholds.judge(tokens, self.model.config.vocab_size, log_probability, no_speech)

    @staticmethod
    def _scores(output: Tensor | GenerateOutput, index: int) -> list[Tensor]:
        """Return the scores that led to a sequence, (vocab_size,) each."""
        assert not isinstance(output, Tensor), "a bound on log-probabilities asks for scores"
        scores = output.scores or ()
        beams = output.get("beam_indices")
        if beams is None:
            return [step[index] for step in scores]
        return [step[beam] for step, beam in zip(scores, beams[index].tolist(), strict=False)]

    def _result(self, output: Tensor | GenerateOutput, index: int) -> Tensor | dict[str, Any]:
        """Return what the caller may see of one recording."""
        if isinstance(output, Tensor):
            return output[index]
        return row_of(output, index, brief=not self.arguments.return_dict, long_form=not self.audio.is_short)


def _unpadded(tokens: Tensor, pad: int | None, ends: set[int]) -> Tensor:
    """Return tokens without padding on the right; where padding and end of text are one token, one stays."""
    if pad is None or not len(tokens) or int(tokens[-1]) != pad:
        return tokens
    count = int((tokens == pad).sum()) - (pad in ends)
    return tokens[: len(tokens) - count]
