"""Whisper's text decoder alone with its head: a language model, or the assistant of a larger Whisper."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from model.config import WhisperConfig
from model.layers.cache import DecoderCache
from model.layers.decoder import WhisperDecoder
from model.layers.labels import token_loss
from model.layers.outputs import BaseModelOutput, CausalLMOutputWithCrossAttentions
from model.networks.language_head import LanguageHead


class WhisperDecoderOnly(nn.Module):
    """The decoder, under the name that checkpoints give it."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build the decoder."""
        super().__init__()
        self.decoder = WhisperDecoder(config)


class WhisperForCausalLM(LanguageHead):
    """Decoder and head. Loaded from a whole Whisper it leaves the encoder in the file."""

    main_input_name = "input_ids"

    def __init__(self, config: WhisperConfig) -> None:
        """Build the network, with random weights."""
        config = copy.deepcopy(config)
        config.is_encoder_decoder = False
        super().__init__(config)
        self.model = WhisperDecoderOnly(config)
        self.proj_out = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.tie_weights()
        self.initialise()

    def get_decoder(self) -> WhisperDecoder:
        """Return the text decoder."""
        return self.model.decoder

    def forward(  # noqa: PLR0917  # the reference's signature
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | Tensor | Iterable[Any] | None = None,
        past_key_values: DecoderCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        *,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> CausalLMOutputWithCrossAttentions | tuple[Any, ...]:
        """Return logits (batch, n, vocab_size) for tokens (batch, n), and the loss if `labels` are given.

        encoder_outputs: what the encoder of the whole model returned, or its hidden states (batch, n_audio_ctx,
        d_model); without it the decoder hears nothing. labels: (batch, n), the token wanted at each place, -100 where
        it does not matter; they are not shifted. The rest as `WhisperDecoder.forward` takes it.
        """
        audio = encoder_outputs
        if audio is not None and not isinstance(audio, Tensor):
            audio = audio[0] if isinstance(audio, BaseModelOutput) else next(iter(audio))
        inner = self.model.decoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            encoder_hidden_states=audio,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits = self.proj_out(inner.last_hidden_state)
        output = CausalLMOutputWithCrossAttentions(
            loss=None if labels is None else token_loss(logits, labels),
            logits=logits,
            past_key_values=inner.past_key_values,
            hidden_states=inner.hidden_states,
            attentions=inner.attentions,
            cross_attentions=inner.cross_attentions,
        )
        as_output = self.config.return_dict if return_dict is None else return_dict
        return output if as_output else output.to_tuple()
