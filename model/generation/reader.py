"""A network that reads a growing batch of sequences, each token once."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from model.generation_config import GenerationConfig
from model.layers.cache import DecoderCache
from model.layers.outputs import BaseModelOutput


class Reader:
    """One network, one batch of audio, and what of their text it has read."""

    def __init__(
        self,
        model: Any,
        encoder_outputs: BaseModelOutput,
        config: GenerationConfig,
        *,
        mask: Tensor | None = None,
        cache: DecoderCache | None = None,
    ) -> None:
        """model: a WhisperForConditionalGeneration, or a WhisperForCausalLM that hears `encoder_outputs`.

        mask: (rows, length) of the first tokens, False for padding; later tokens are none. cache: of an earlier search
        that read the first cells of the same sequences.
        """
        self._model = model
        self._audio = encoder_outputs
        self._mask = mask
        self._keep = config.use_cache is not False
        self._traces = bool(config.return_dict_in_generate)
        self._attentions = bool(config.output_attentions) and self._traces
        self._hidden_states = bool(config.output_hidden_states) and self._traces
        # A decoder alone calls its own inputs what a whole network calls the decoder's.
        prefix = "decoder_" if "decoder_input_ids" in inspect.signature(model.forward).parameters else ""
        self._names = (prefix + "input_ids", prefix + "attention_mask")
        self.cache = cache
        self.rows_each = 1
        """Rows that hear the same audio."""

    @property
    def length(self) -> int:
        """Tokens of each sequence that need not be read again."""
        return 0 if self.cache is None else self.cache.get_seq_length()

    def read(self, input_ids: Tensor) -> Any:
        """Read what is new of the sequences, (rows, length); return the network's output for those tokens."""
        ids, mask = self._names
        inputs: dict[str, Any] = {ids: input_ids[:, self.length :], "encoder_outputs": self._audio}
        if self._mask is not None:
            later = input_ids.shape[1] - self._mask.shape[1]
            ones = self._mask.new_ones(len(self._mask), max(0, later))
            inputs[mask] = torch.cat([self._mask, ones], dim=1)[:, : input_ids.shape[1]]
        output = self._model(
            **inputs,
            past_key_values=self.cache,
            use_cache=self._keep,
            output_attentions=self._attentions,
            output_hidden_states=self._hidden_states,
            return_dict=True,
        )
        if self._keep:
            self.cache = output.past_key_values
        return output

    def repeat(self, times: int) -> None:
        """Let each row be there so many times, one after the other."""
        if times == 1:
            return
        self.rows_each *= times
        if self._mask is not None:
            self._mask = self._mask.repeat_interleave(times, dim=0)
        if self.cache is not None:
            self.cache.repeat(times)
        if not self._keep:
            # Nothing was kept, so the audio is heard again at every step.
            heard = self._audio.last_hidden_state
            assert heard is not None
            self._audio = BaseModelOutput(heard.repeat_interleave(times, dim=0))

    def reorder(self, rows: Tensor) -> None:
        """Let place i hold what row `rows[i]` held; rows move among those that hear the same audio only."""
        if self.cache is not None:
            self.cache.reorder(rows)

    def crop(self, length: int) -> None:
        """Forget the tokens at and after `length`."""
        if self.cache is not None:
            self.cache.crop(length)
