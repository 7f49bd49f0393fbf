"""The Whisper network: audio encoder, text decoder, tied head.

Parameter names are those of Hugging Face checkpoints, so that a state dict loads as it is; other layouts are renamed in
`weights.py` and nowhere else. Source: Radford et al. 2022, section 2.2; pre-norm transformer, GELU, sinusoidal
encoder positions, learned decoder positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from model.audio.spec_augment import mask_features
from model.config import WhisperConfig
from model.generation.whisper import WhisperGeneration
from model.layers.cache import DecoderCache
from model.layers.decoder import WhisperDecoder
from model.layers.decoder_layer import WhisperDecoderLayer
from model.layers.encoder import WhisperEncoder, WhisperEncoderLayer, sinusoids
from model.layers.head import VocabularyHead
from model.layers.labels import shift_right, token_loss
from model.layers.outputs import BaseModelOutput, Seq2SeqLMOutput, Seq2SeqModelOutput, as_encoder_output
from model.networks.base import HEAD
from model.networks.language_head import LanguageHead
from model.networks.pretrained import PretrainedNetwork

__all__ = (
    "WhisperDecoder", "WhisperDecoderLayer", "WhisperEncoder", "WhisperEncoderLayer", "WhisperForConditionalGeneration",
    "WhisperModel", "sinusoids",
)  # fmt: skip


class WhisperModel(PretrainedNetwork):
    """Encoder and decoder, without the head."""

    def __init__(self, config: WhisperConfig) -> None:
        """Build both halves, with random weights."""
        super().__init__(config)
        self.encoder = WhisperEncoder(config)
        self.decoder = WhisperDecoder(config)
        self.initialise()

    def get_encoder(self) -> WhisperEncoder:
        """Return the audio encoder."""
        return self.encoder

    def get_decoder(self) -> WhisperDecoder:
        """Return the text decoder."""
        return self.decoder

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embedding of the tokens."""
        return self.decoder.embed_tokens

    def freeze_encoder(self) -> None:
        """Let training change no weight of the encoder."""
        self.encoder.freeze()

    def forward(  # noqa: PLR0917  # the reference's signature
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | Iterable[Any] | None = None,
        past_key_values: DecoderCache | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        decoder_position_ids: Tensor | None = None,
        use_cache: bool | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Seq2SeqModelOutput | tuple[Any, ...]:
        """Run both halves.

        input_features: (batch, n_mels, 2 * max_source_positions), or encoder_outputs instead, which then come first in
        a call of their own; attention_mask: (batch, frames), what of them SpecAugment may mask; the rest as
        `WhisperDecoder.forward` takes it. Raises ValueError for what does not fit.
        """
        wanted = {"output_attentions": output_attentions, "output_hidden_states": output_hidden_states}
        if encoder_outputs is None:
            if input_features is None:
                raise ValueError("give either input_features or encoder_outputs")
            features = input_features
            if self.training and self.config.apply_spec_augment:
                features = mask_features(features, self.config, attention_mask)
            encoder_outputs = self.encoder(features, **wanted, return_dict=True)
        audio = as_encoder_output(encoder_outputs)
        text = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=audio.last_hidden_state,
            past_key_values=past_key_values,
            inputs_embeds=decoder_inputs_embeds,
            position_ids=decoder_position_ids,
            use_cache=use_cache,
            **wanted,
            return_dict=True,
        )
        output = Seq2SeqModelOutput(
            last_hidden_state=text.last_hidden_state,
            past_key_values=text.past_key_values,
            decoder_hidden_states=text.hidden_states,
            decoder_attentions=text.attentions,
            cross_attentions=text.cross_attentions,
            encoder_last_hidden_state=audio.last_hidden_state,
            encoder_hidden_states=audio.hidden_states,
            encoder_attentions=audio.attentions,
        )
        as_output = self.config.return_dict if return_dict is None else return_dict
        return output if as_output else output.to_tuple()


class WhisperForConditionalGeneration(WhisperGeneration, LanguageHead):
    """Whisper with its head over the vocabulary: the token embedding itself, unless the configuration unties it."""

    main_input_name = "input_features"

    def __init__(self, config: WhisperConfig) -> None:
        """Build the network, with random weights."""
        super().__init__(config)
        self.model = WhisperModel(config)
        self.proj_out = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.vocabulary: VocabularyHead | None = None
        """What gives the logits, with the same weight, once the network is prepared for recognition."""
        self.tie_weights()
        if not config.tie_word_embeddings:
            self.initialise({HEAD})

    def get_encoder(self) -> WhisperEncoder:
        """Return the audio encoder."""
        return self.model.encoder

    def get_decoder(self) -> WhisperDecoder:
        """Return the text decoder."""
        return self.model.decoder

    def freeze_encoder(self) -> None:
        """Let training change no weight of the encoder."""
        self.model.freeze_encoder()

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., d_model) -> (..., vocab_size)."""
        if self.vocabulary is None:
            projected: Tensor = self.proj_out(hidden)
            return projected
        return self.vocabulary(hidden.flatten(0, -2)).view(*hidden.shape[:-1], -1)

    def forward(  # noqa: PLR0917  # the reference's signature
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: BaseModelOutput | Iterable[Any] | None = None,
        past_key_values: DecoderCache | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        decoder_position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Seq2SeqLMOutput | tuple[Any, ...]:
        """Return logits (batch, n, vocab_size) for tokens (batch, n), and the loss if `labels` are given.

        labels: (batch, n), what should follow each token, -100 where it does not matter; without decoder_input_ids the
        tokens are the labels shifted to the right. The rest as `WhisperModel.forward` takes it.
        Raises ValueError for what does not fit.
        """
        if labels is not None and labels.shape[1] > self.config.max_target_positions:
            limit = self.config.max_target_positions
            raise ValueError(f"labels must be at most {limit} tokens (max_target_positions), got {labels.shape[1]}")
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = shift_right(labels, self.config)
        inner = self.model(
            input_features,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            decoder_inputs_embeds=decoder_inputs_embeds,
            decoder_position_ids=decoder_position_ids,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits: Any = self.logits(inner.last_hidden_state)
        loss = None if labels is None else token_loss(logits, labels)
        output = Seq2SeqLMOutput(**({"loss": loss, "logits": logits} | dict(list(inner.items())[1:])))
        as_output = self.config.return_dict if return_dict is None else return_dict
        return output if as_output else output.to_tuple()
