"""Whisper's audio encoder with a classifier on top: which language, which keyword, which speaker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.config import WhisperConfig
from model.layers.encoder import WhisperEncoder
from model.layers.outputs import BaseModelOutput, SequenceClassifierOutput, as_encoder_output
from model.networks.pretrained import PretrainedNetwork


class WhisperForAudioClassification(PretrainedNetwork):
    """Encoder, projector, mean over time, classifier. Loaded from a whole Whisper the latter start at random."""

    ADDED = ("projector.", "classifier.", "layer_weights")

    def __init__(self, config: WhisperConfig) -> None:
        """Build the network, with random weights."""
        super().__init__(config)
        self.encoder = WhisperEncoder(config)
        if config.use_weighted_layer_sum:
            self.layer_weights = nn.Parameter(torch.ones(config.encoder_layers + 1))
        self.projector = nn.Linear(config.d_model, config.classifier_proj_size)
        self.classifier = nn.Linear(config.classifier_proj_size, config.num_labels)
        self.initialise()

    def get_encoder(self) -> WhisperEncoder:
        """Return the audio encoder."""
        return self.encoder

    def get_input_embeddings(self) -> nn.Conv1d:
        """Return the first convolution."""
        return self.encoder.conv1

    def freeze_encoder(self) -> None:
        """Let training change no weight of the encoder."""
        self.encoder.freeze()

    def forward(
        self,
        input_features: Tensor | None = None,
        encoder_outputs: BaseModelOutput | Iterable[Any] | None = None,
        labels: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """Return logits (batch, num_labels), and the cross-entropy if `labels` (batch,) are given.

        input_features: (batch, n_mels, 2 * max_source_positions), or encoder_outputs instead, which must hold hidden
        states if the layers are summed by weight. Raises ValueError where they do not.
        """
        summed = self.config.use_weighted_layer_sum
        if encoder_outputs is None:
            if input_features is None:
                raise ValueError("give either input_features or encoder_outputs")
            encoder_outputs = self.encoder(
                input_features,
                output_attentions=output_attentions,
                output_hidden_states=True if summed else output_hidden_states,
                return_dict=True,
            )
        audio = as_encoder_output(encoder_outputs)
        hidden = audio.last_hidden_state
        if summed:
            if audio.hidden_states is None:
                raise ValueError("use_weighted_layer_sum needs encoder_outputs with hidden_states")
            shares = self.layer_weights.softmax(dim=-1)
            hidden = (torch.stack(audio.hidden_states, dim=1) * shares[:, None, None]).sum(dim=1)
        logits: Tensor = self.classifier(self.projector(hidden).mean(dim=1))
        loss = None if labels is None else F.cross_entropy(logits, labels.to(logits.device).reshape(-1))
        output = SequenceClassifierOutput(loss, logits, audio.hidden_states, audio.attentions)
        as_output = self.config.return_dict if return_dict is None else return_dict
        return output if as_output else output.to_tuple()
