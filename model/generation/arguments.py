"""What a call of `generate` asks for: argument over given configuration over the network's own, checked.

Source: transformers generation_whisper.py, the `_set_…` functions, and `GenerationMixin._prepare_generation_config`.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.generation.judgement import Thresholds
from model.generation.prompts import PromptCondition
from model.generation_config import FIELDS, GenerationConfig

logger = logging.getLogger(__name__)

INPUTS = frozenset(
    {
        "inputs",
        "encoder_outputs",
        "decoder_input_ids",
        "decoder_attention_mask",
        "past_key_values",
        "assistant_model",
        "streamer",
        "tokenizer",
        "assistant_tokenizer",
        "num_frames",
    }
)
"""Named arguments of `generate` that are neither documented there nor fields of its configuration."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """One call of `generate`, every choice made."""

    config: GenerationConfig
    """A copy of the call's own, complete."""
    temperatures: tuple[float | None, ...]
    """In the order in which they are tried; None is 0."""
    thresholds: Thresholds
    condition: PromptCondition
    conditioned: bool
    """Whether the first window counts what comes before it, a prompt, as earlier text."""
    conditions: bool
    """Whether later windows follow what was said."""
    token_times: bool
    return_segments: bool
    return_dict: bool
    """Whether the caller wants everything that the searches return."""
    as_dict: bool
    """Whether the searches have to return more than sequences."""
    unique: bool
    """Whether to decode one window and return its sequences as they are, prompt and end of text included."""

    @classmethod
    def resolve(
        cls,
        config: GenerationConfig,
        *,
        temperature: float | Sequence[float] | None,
        thresholds: Thresholds,
        prompt_condition_type: str | None,
        condition_on_prev_tokens: bool | None,
        return_timestamps: bool | None,
        return_token_timestamps: bool | None,
        return_segments: bool,
        return_dict_in_generate: bool | None,
        force_unique_generate_call: bool | None,
        is_short: bool,
    ) -> Arguments:
        """Make every choice; `config` is changed to agree. Raises ValueError for what contradicts itself."""
        timestamps = _timestamps(config, return_timestamps, is_short=is_short)
        config.return_timestamps = timestamps
        thresholds = _thresholds(config, thresholds)
        conditions = bool(_chosen(config, "condition_on_prev_tokens", condition_on_prev_tokens))
        condition = _condition(prompt_condition_type, conditions=conditions)
        return_dict = bool(_chosen(config, "return_dict_in_generate", return_dict_in_generate))
        token_times = bool(return_token_timestamps)
        if token_times:
            _check_alignment(config)
            config.output_attentions = True
        if token_times or thresholds.log_probability is not None:
            config.output_scores = True
        as_dict = return_dict or token_times or thresholds.log_probability is not None
        config.return_dict_in_generate = as_dict
        unique = bool(_chosen(config, "force_unique_generate_call", force_unique_generate_call))
        # Rows that are returned as one output are of one window: there is none that others do not have.
        unique = unique or (is_short and return_dict and not timestamps)
        if return_dict and timestamps and not unique and not return_segments:
            logger.warning("return_dict_in_generate with timestamps returns segments, each with its search's result")
        temperatures = tuple(temperature) if isinstance(temperature, Sequence) else (temperature,)
        if not temperatures:
            raise ValueError("temperature must be a number or a list of at least one, got none")
        return cls(
            config=config,
            temperatures=temperatures,
            thresholds=thresholds,
            condition=condition,
            conditioned=bool(condition_on_prev_tokens),
            conditions=conditions,
            token_times=token_times,
            return_segments=return_segments,
            return_dict=return_dict,
            as_dict=as_dict,
            unique=unique,
        )


def complete_config(
    own: GenerationConfig, given: GenerationConfig | None, values: dict[str, Any]
) -> tuple[GenerationConfig, dict[str, Any]]:
    """Return a call's configuration, and of its named arguments those that are inputs.

    own: the network's, which fills what `given` leaves open; values: named arguments, which go before both. Raises
    ValueError for a name that is neither a field nor an input.
    """
    config = GenerationConfig() if given is None else copy.deepcopy(given)
    _fill(config, own.to_dict())
    inputs = config.update(**values)
    if given is not None and len(inputs) < len(values):
        names = ", ".join(sorted(values.keys() - inputs.keys()))
        logger.warning("generation_config was given together with %s, which go before it", names)
    unknown = [name for name, value in inputs.items() if name not in INPUTS and value is not None]
    if unknown:
        raise ValueError(f"generate has no argument {', '.join(unknown)}, and neither has its configuration")
    # A field of every network that is None says nothing: what this one has holds. One of Whisper's own says none.
    _fill(config, {name: value for name, value in own.to_dict().items() if name in FIELDS})
    return config, {name: value for name, value in inputs.items() if value is not None}


def _fill(config: GenerationConfig, own: Mapping[str, Any]) -> None:
    """Set what is open to what the network's configuration says, and to the defaults."""
    config.update(**own, defaults_only=True, allow_custom_entries=True)
    config.update(**GenerationConfig.defaults(), defaults_only=True)


def set_language_and_task(
    config: GenerationConfig, *, language: str | Sequence[str] | None, task: str | None, is_multilingual: bool | None
) -> None:
    """Note language, task and kind of network in `config`. Raises ValueError for what it has no tokens for."""
    if is_multilingual is not None:
        if not hasattr(config, "is_multilingual"):
            raise ValueError(f"is_multilingual={is_multilingual} is {_OUTDATED.format('is_multilingual')}")
        config.is_multilingual = is_multilingual
    if not getattr(config, "is_multilingual", True) and (task is not None or language is not None):
        raise ValueError(
            f"language and task cannot be chosen for an English-only model, got {language!r} and {task!r}; "
            "pass is_multilingual=True if it is none"
        )
    for name, value, tokens in (("language", language, "lang_to_id"), ("task", task, "task_to_id")):
        if value is None:
            continue
        if not hasattr(config, tokens):
            raise ValueError(f"{name}={value!r} is {_OUTDATED.format(tokens)}")
        setattr(config, name, value)


_OUTDATED = "not possible: the generation configuration is outdated, it has no {}"


def _chosen(config: GenerationConfig, name: str, argument: Any) -> Any:
    """Return the argument, or the field where it is None; the field agrees afterwards."""
    value = getattr(config, name, None) if argument is None else argument
    setattr(config, name, value)
    return value


def _timestamps(config: GenerationConfig, asked: bool | None, *, is_short: bool) -> bool:
    """Say whether timestamps are predicted, as they must be to find the next window."""
    value = getattr(config, "return_timestamps", None) if asked is None else asked
    if not is_short:
        if value is False:
            raise ValueError(
                "return_timestamps must be True for more log-mel frames than one window holds (3000, 30 s): long form "
                "goes from window to window by timestamps. Pass return_timestamps=True, or shorter input"
            )
        value = True
    if value and not hasattr(config, "no_timestamps_token_id"):
        raise ValueError(
            "return_timestamps is not possible: the generation configuration has no no_timestamps_token_id"
        )
    return bool(value)


def _thresholds(config: GenerationConfig, given: Thresholds) -> Thresholds:
    """Return the bounds of the call."""
    chosen = Thresholds(
        compression_ratio=_chosen(config, "compression_ratio_threshold", given.compression_ratio),
        log_probability=_chosen(config, "logprob_threshold", given.log_probability),
        no_speech=_chosen(config, "no_speech_threshold", given.no_speech),
    )
    if chosen.no_speech is not None and chosen.log_probability is None:
        raise ValueError("no_speech_threshold drops what is below logprob_threshold as well: pass both")
    if chosen.no_speech is not None and not hasattr(config, "no_timestamps_token_id"):
        raise ValueError("no_speech_threshold needs no_timestamps_token_id in the generation configuration")
    return chosen


def _condition(name: str | None, *, conditions: bool) -> PromptCondition:
    """Return what a prompt is for."""
    try:
        condition = PromptCondition(name or PromptCondition.FIRST_SEGMENT)
    except ValueError:
        allowed = ", ".join(PromptCondition)
        raise ValueError(f"prompt_condition_type must be one of {allowed}, got {name!r}") from None
    if condition is PromptCondition.ALL_SEGMENTS and not conditions:
        raise ValueError(f"prompt_condition_type={str(condition)!r} needs condition_on_prev_tokens=True")
    return condition


def _check_alignment(config: GenerationConfig) -> None:
    """Refuse times of tokens where no head is known that follows the audio."""
    if not getattr(config, "alignment_heads", None):
        raise ValueError("return_token_timestamps is not possible: the generation configuration has no alignment_heads")
    if getattr(config, "task", None) == "translate":
        logger.warning("times of tokens may not be reliable for the task 'translate'")
