"""What networks have in common that write text: a decoder, and a head over the vocabulary."""

from __future__ import annotations

from torch import nn

from model.layers.decoder import WhisperDecoder
from model.networks.pretrained import PretrainedNetwork


class LanguageHead(PretrainedNetwork):
    """A network whose decoder is read out by `proj_out`."""

    GENERATES = True
    proj_out: nn.Linear

    def get_decoder(self) -> WhisperDecoder:
        """Return the text decoder."""
        raise NotImplementedError

    def tie_weights(self) -> None:
        """Make the head the token embedding, if the configuration says so."""
        if self.config.tie_word_embeddings:
            self.proj_out.weight = self.get_input_embeddings().weight

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embedding of the tokens."""
        return self.get_decoder().embed_tokens

    def get_output_embeddings(self) -> nn.Linear:
        """Return the head."""
        return self.proj_out
