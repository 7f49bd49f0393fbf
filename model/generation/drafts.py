"""Who proposes tokens for the network to judge: a smaller network, or what the text itself said before.

Source: transformers generation/candidate_generator.py.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from model.generation.assembly import Plan
from model.generation.reader import Reader
from model.generation.record import last_logits
from model.generation.sampling import drawn
from model.generation.stopping import ConfidenceCriteria, EosTokenCriteria, StoppingCriteriaList
from model.generation.tokens import token_ids
from model.generation_config import GenerationConfig
from model.layers.outputs import BaseModelOutput


class Draft(NamedTuple):
    """Tokens that may follow."""

    tokens: Tensor
    """(1, n), n of 0 for none."""
    scores: Tensor | None
    """(1, n, vocab_size) what they were drawn by; None if they were not."""


class Drafter(Protocol):
    """Proposes."""

    def draft(self, input_ids: Tensor, limit: int) -> Draft:
        """Propose at most `limit` tokens after `input_ids`, (1, length)."""

    def judged(self, count: int, accepted: int, length: int) -> None:
        """Hear how many of the latest `count` tokens were right; `length` of the sequence with what follows them."""


class AssistantDrafter:
    """A smaller network that hears the same audio."""

    def __init__(self, assistant: Any, audio: BaseModelOutput, plan: Plan, mask: Tensor | None = None) -> None:
        """audio: what the assistant's decoder is to hear; plan, mask: of the search.

        The length of a draft is asked for by the assistant's own generation configuration.
        """
        own = getattr(assistant, "generation_config", None) or GenerationConfig()
        defaults = GenerationConfig.defaults()
        asked = {
            name: defaults[name] if getattr(own, name) is None else getattr(own, name)
            for name in ("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold")
        }
        self._own, self._schedule = own, asked["num_assistant_tokens_schedule"]
        self._most: int = asked["num_assistant_tokens"]
        config = plan.config
        self._processors, self._sampling = plan.processors, bool(config.do_sample)
        silent = GenerationConfig(use_cache=True)
        self._device: torch.device = assistant.device
        self._reader = Reader(assistant, audio, silent, mask=None if mask is None else mask.to(self._device))
        self._criteria = StoppingCriteriaList()
        if config.eos_token_id is not None:
            self._criteria.append(EosTokenCriteria(config.eos_token_id))
        if asked["assistant_confidence_threshold"]:
            self._criteria.append(ConfidenceCriteria(asked["assistant_confidence_threshold"]))

    def draft(self, input_ids: Tensor, limit: int) -> Draft:
        """Decode on, till the end of text, or a token that is unsure."""
        input_ids = input_ids.to(self._device)
        start, chosen = input_ids.shape[1], []
        for _ in range(min(self._most, limit)):
            scores = self._processors(input_ids, last_logits(self._reader.read(input_ids)))
            chosen.append(scores)
            token = drawn(scores) if self._sampling else scores.argmax(dim=-1)
            input_ids = torch.cat([input_ids, token[:, None]], dim=1)
            if self._criteria(input_ids, chosen)[0]:
                break
        return Draft(input_ids[:, start:], torch.stack(chosen, dim=1) if chosen else None)

    def judged(self, count: int, accepted: int, length: int) -> None:
        """Forget what was wrong; draft more after a draft that was all right, else less, if that is asked for."""
        self._reader.crop(length - 1)
        if self._schedule == "constant":
            return
        self._most = self._most + 2 if accepted == count else max(1, self._most - 1)
        if self._schedule == "heuristic":
            self._own.num_assistant_tokens = self._most


class LookupDrafter:
    """What came after the same few tokens earlier in the sequence."""

    def __init__(self, config: GenerationConfig) -> None:
        """config: its prompt_lookup_num_tokens and max_matching_ngram_size are read."""
        self._most = config.prompt_lookup_num_tokens or 0
        self._longest = config.max_matching_ngram_size or 2
        if self._most < 1 or self._longest < 1:
            raise ValueError(
                f"prompt_lookup_num_tokens and max_matching_ngram_size must be at least 1, got {self._most} and "
                f"{self._longest}"
            )
        self._ends = () if config.eos_token_id is None else token_ids(config.eos_token_id)

    def draft(self, input_ids: Tensor, limit: int) -> Draft:
        """Take the first continuation of the longest match, up to an end of text."""
        text: list[int] = input_ids[0].tolist()
        return Draft(torch.tensor([self._following(text)[:limit]], dtype=torch.long, device=input_ids.device), None)

    def _following(self, text: list[int]) -> list[int]:
        for size in range(min(self._longest, len(text) - 1), 0, -1):
            for end in range(size, len(text)):
                if text[end - size : end] == text[-size:]:
                    found = text[end : end + self._most]
                    stop = next((i for i, token in enumerate(found) if token in self._ends), len(found))
                    return found[:stop]
        return []

    def judged(self, count: int, accepted: int, length: int) -> None:
        """Learn nothing."""


class Hearing(NamedTuple):
    """Two networks and the audio of one input."""

    model: Any
    assistant: Any
    """None to draft without a network."""
    encoder_outputs: BaseModelOutput
    input_features: Tensor | None

    def for_assistant(self) -> BaseModelOutput:
        """Return what the assistant hears: the network's own audio, or what its own encoder makes of the features.

        Raises ValueError if it cannot work with this network.
        """
        ours, theirs = self.model.config, self.assistant.config
        if ours.vocab_size != theirs.vocab_size:
            raise ValueError(
                f"assistant_model must have the vocabulary of the model, {ours.vocab_size} tokens, "
                f"got {theirs.vocab_size}"
            )
        if "decoder_input_ids" not in inspect.signature(self.assistant.forward).parameters:
            for name in ("d_model", "encoder_attention_heads", "encoder_ffn_dim", "encoder_layers"):
                wanted, got = getattr(ours, name), getattr(theirs, name)
                if wanted != got:
                    raise ValueError(
                        f"assistant_model hears the model's audio, so {name} must be {wanted}, got {got}; "
                        "load it as WhisperForConditionalGeneration to use its own encoder"
                    )
            heard = self.encoder_outputs.last_hidden_state
            assert heard is not None
            return BaseModelOutput(heard.to(self.assistant.device, self.assistant.dtype))
        if self.input_features is None:
            raise ValueError("an assistant_model with an encoder needs input_features, not only encoder_outputs")
        features = self.input_features.to(self.assistant.device, self.assistant.dtype)
        own: BaseModelOutput = self.assistant.get_encoder()(features, return_dict=True)
        return own


def drafter_for(hearing: Hearing, plan: Plan, mask: Tensor | None = None) -> Drafter:
    """Return the assistant, or without one a look into the text; mask: of the search."""
    if hearing.assistant is None:
        return LookupDrafter(plan.config)
    return AssistantDrafter(hearing.assistant, hearing.for_assistant(), plan, mask)
