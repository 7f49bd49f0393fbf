"""`generate`: log-mel frames of recordings of any length to tokens.

Source: Radford et al. 2022, section 4.5; transformers generation_whisper.py WhisperGenerationMixin.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from model.generation.arguments import Arguments, complete_config, set_language_and_task
from model.generation.assembly import PrefixFunction
from model.generation.fallback import WindowDecoder
from model.generation.judgement import Thresholds
from model.generation.long_form import Recording, Transcription, batch_of
from model.generation.outputs import GenerateOutput
from model.generation.processors import (
    LogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperNoSpeechDetection,
    WhisperTimeStampLogitsProcessor,
)
from model.generation.prompts import Prompt, PromptBuilder, previous_start, prompt_tensor
from model.generation.results import assembled
from model.generation.segments import Clock
from model.generation.start import detected_languages, start_of_transcripts
from model.generation.stopping import StoppingCriterion
from model.generation.transition_scores import transition_scores
from model.generation.windows import AudioWindows
from model.generation_config import GenerationConfig
from model.layers.outputs import BaseModelOutput

if TYPE_CHECKING:
    from model.whisper import WhisperForConditionalGeneration

logger = logging.getLogger(__name__)


class WhisperGeneration:
    """What makes a network with `config`, `generation_config` and a forward pass transcribe."""

    @torch.no_grad()
    def generate(  # noqa: PLR0917  # the reference's parameters, which may be given by place
        self,
        input_features: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: Iterable[LogitsProcessor] | None = None,
        stopping_criteria: Iterable[StoppingCriterion] | None = None,
        prefix_allowed_tokens_fn: PrefixFunction | None = None,
        synced_gpus: bool | None = False,
        return_timestamps: bool | None = None,
        task: str | None = None,
        language: str | Sequence[str] | None = None,
        is_multilingual: bool | None = None,
        prompt_ids: Tensor | Sequence[int] | None = None,
        prompt_condition_type: str | None = None,
        condition_on_prev_tokens: bool | None = None,
        temperature: float | Sequence[float] | None = None,
        compression_ratio_threshold: float | None = None,
        logprob_threshold: float | None = None,
        no_speech_threshold: float | None = None,
        num_segment_frames: int | None = None,
        attention_mask: Tensor | None = None,
        time_precision: float = 0.02,
        time_precision_features: float = 0.01,
        return_token_timestamps: bool | None = None,
        return_segments: bool = False,
        return_dict_in_generate: bool | None = None,
        force_unique_generate_call: bool | None = None,
        monitor_progress: Callable[[Tensor], None] | None = None,
        **kwargs: Any,
    ) -> Tensor | GenerateOutput | dict[str, Any]:
        """Transcribe or translate recordings of any length.

        A recording longer than one window (30 s) is long form: windows are decoded one after the other, each beginning
        where the last complete segment of the one before ended, which takes timestamps.

        input_features: (batch, n_mels, n_frames) log-mel; `inputs` is another name for it.
        generation_config: goes before the network's own, field by field; arguments go before both.
        logits_processor, stopping_criteria, prefix_allowed_tokens_fn: act besides those that the rest asks for.
        return_timestamps: predict timestamps; needed for long form.
        task: "transcribe" or "translate".
        language: token (`<|en|>`), code or English name, one for all or a list with one for each recording; None to
            hear which it is.
        is_multilingual: goes before the configuration's.
        prompt_ids: (n,) tokens of `get_prompt_ids`, told before the first or all windows.
        prompt_condition_type: "first-segment" (None) or "all-segments", which needs condition_on_prev_tokens.
        condition_on_prev_tokens: tell each window what was said before it.
        temperature: above 0 draws; of a list each is tried until the thresholds are met.
        compression_ratio_threshold, logprob_threshold: most bytes of tokens per compressed byte, and least average
            log-probability, that are taken without trying the next temperature.
        no_speech_threshold: probability of silence above which a window below logprob_threshold is skipped.
        num_segment_frames: no effect, as in the reference: the encoder takes windows of one length.
        attention_mask: (batch, n_frames), 0 for padding; needed for long form of more than one recording.
        time_precision, time_precision_features: seconds of a timestamp's step and of a frame.
        return_token_timestamps: also say when each token starts, from the cross-attention of the alignment heads.
        return_segments: also return segments: start and end in seconds, tokens, and what the search returned.
        return_dict_in_generate: return all that the searches do, as the configuration's `output_…` fields say.
        force_unique_generate_call: decode one window only, and return its sequence with prompt and end of text.
        monitor_progress: called before each window with (batch, 2): frame where it begins, and number of frames.
        kwargs: fields of the configuration (max_new_tokens, num_beams …), or one of encoder_outputs,
            decoder_input_ids, decoder_attention_mask, past_key_values, assistant_model, streamer, tokenizer.

        Returns tokens (batch, length) padded on the right, without prompt and end of text; or a dictionary with
        `sequences`, and `token_timestamps` and `segments` as asked for, where return_segments or
        return_token_timestamps is set, or return_dict_in_generate with timestamps; or the search's output, prompt and
        end of text included, where return_dict_in_generate is set without timestamps or with a unique call.
        Raises ValueError for arguments that contradict each other, the network or its configuration.
        """
        if synced_gpus:
            raise ValueError("synced_gpus is not supported: it keeps the processes of a sharded network in step")
        network = cast("WhisperForConditionalGeneration", self)
        config, inputs = complete_config(network.generation_config, generation_config, kwargs)
        features = _either(input_features, inputs.pop("inputs", None))
        inputs.pop("num_frames", None)  # of before attention_mask said it
        audio = AudioWindows(network, features, inputs.pop("encoder_outputs", None))
        if num_segment_frames not in (None, audio.length):
            logger.warning("num_segment_frames has no effect: a window is %d frames", audio.length)
        set_language_and_task(config, language=language, task=task, is_multilingual=is_multilingual)
        arguments = Arguments.resolve(
            config,
            temperature=temperature,
            thresholds=Thresholds(compression_ratio_threshold, logprob_threshold, no_speech_threshold),
            prompt_condition_type=prompt_condition_type,
            condition_on_prev_tokens=condition_on_prev_tokens,
            return_timestamps=return_timestamps,
            return_token_timestamps=return_token_timestamps,
            return_segments=return_segments,
            return_dict_in_generate=return_dict_in_generate,
            force_unique_generate_call=force_unique_generate_call,
            is_short=audio.is_short,
        )
        audio.trace(
            attentions=bool(config.output_attentions) and arguments.return_dict,
            hidden_states=bool(config.output_hidden_states) and arguments.return_dict,
        )
        recordings = batch_of(audio, arguments, attention_mask)
        start = start_of_transcripts(network, config, audio)[[recording.source for recording in recordings]]
        prompts = _prompts(network, config, arguments, start, prompt_ids)
        first_prompt = _given_prompt(inputs, recordings)
        decoder = WindowDecoder(
            network,
            arguments,
            audio,
            _processors(config, arguments, start.shape[1], logits_processor),
            inputs | {"stopping": stopping_criteria or (), "prefix_allowed_tokens_fn": prefix_allowed_tokens_fn},
        )
        clock = Clock(prompts.timestamp_begin, time_precision, time_precision_features, audio.stride)
        Transcription(decoder, prompts, clock, arguments, monitor_progress, first_prompt).run(recordings)
        return assembled(recordings, arguments, prompts.pad, start.device)

    @torch.no_grad()
    def detect_language(
        self,
        input_features: Tensor | None = None,
        encoder_outputs: BaseModelOutput | Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        num_segment_frames: int = 3000,
    ) -> Tensor:
        """Return the likeliest language token of each recording, (batch,) long, by its first window.

        input_features: (batch, n_mels, n_frames), of which the first `num_segment_frames` are heard, or the encoder's
        output for them instead. Raises ValueError for both or neither, or for a checkpoint without languages.
        """
        if (input_features is None) == (encoder_outputs is None):
            raise ValueError("give either input_features or encoder_outputs, and not both")
        network = cast("WhisperForConditionalGeneration", self)
        features = None if input_features is None else input_features[..., :num_segment_frames]
        config = network.generation_config if generation_config is None else generation_config
        return detected_languages(network, config, AudioWindows(network, features, encoder_outputs))

    def compute_transition_scores(
        self,
        sequences: Tensor,
        scores: Sequence[Tensor],
        beam_indices: Tensor | None = None,
        normalize_logits: bool = False,
    ) -> Tensor:
        """Return what each new token scored, (rows, steps), from an output of `generate`: see `transition_scores`."""
        return transition_scores(sequences, scores, beam_indices, normalize=normalize_logits)


def _either(features: Tensor | None, inputs: Tensor | None) -> Tensor | None:
    """Return what was given by one of two names. Raises ValueError for both."""
    if features is not None and inputs is not None:
        raise ValueError("give either input_features or inputs, which are the same, and not both")
    return inputs if features is None else features


def _prompts(
    network: WhisperForConditionalGeneration,
    config: GenerationConfig,
    arguments: Arguments,
    start: Tensor,
    prompt_ids: Any,
) -> PromptBuilder:
    """Return what writes the prompts of each window."""
    without_times = getattr(config, "no_timestamps_token_id", None)
    pad = config.pad_token_id if config.pad_token_id is not None else config.eos_token_id
    half = network.config.max_target_positions // 2 - 1
    return PromptBuilder(
        start=start,
        prompt_ids=None if prompt_ids is None else prompt_tensor(prompt_ids, start.device),
        condition=arguments.condition,
        previous_start=previous_start(config, config.suppress_tokens),
        pad=pad[0] if isinstance(pad, list) else pad if pad is not None else 0,
        # Without timestamps in the vocabulary none is ever met.
        timestamp_begin=network.config.vocab_size + 1 if without_times is None else without_times + 1,
        limit=min(half, getattr(config, "earlier_tokens", half)),
        fixed=config.cache_implementation == "static",
    )


def _given_prompt(inputs: dict[str, Any], recordings: Sequence[Recording]) -> Prompt | None:
    """Take the caller's own prompt for the first window out of the inputs. Raises ValueError with an assistant."""
    ids, mask = inputs.pop("decoder_input_ids", None), inputs.pop("decoder_attention_mask", None)
    if ids is None:
        return None
    if "assistant_model" in inputs:
        raise ValueError("decoder_input_ids cannot be given with assistant_model: pass prompt_ids")
    return Prompt(ids, mask).rows([recording.source for recording in recordings])


def _processors(
    config: GenerationConfig, arguments: Arguments, begin: int, given: Iterable[LogitsProcessor] | None
) -> list[LogitsProcessor]:
    """Return Whisper's own rules and the caller's; begin: tokens of the prompt from start of transcript on."""
    chosen: list[LogitsProcessor] = []
    if arguments.thresholds.no_speech is not None:
        chosen.append(WhisperNoSpeechDetection(config.no_timestamps_token_id - 1, begin))
    if config.begin_suppress_tokens is not None:
        chosen.append(SuppressTokensAtBeginLogitsProcessor(config.begin_suppress_tokens, begin))
    if config.suppress_tokens is not None:
        chosen.append(SuppressTokensLogitsProcessor(config.suppress_tokens))
    if config.return_timestamps:
        chosen.append(WhisperTimeStampLogitsProcessor(config, begin_index=begin))
    return [*chosen, *(given or ())]
