"""What is heard: windows of the recordings' log-mel frames, encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from model.layers.outputs import BaseModelOutput

if TYPE_CHECKING:
    from model.whisper import WhisperForConditionalGeneration


class Place(NamedTuple):
    """A window of a recording."""

    recording: int
    """Row of the features."""
    seek: int
    """First frame."""
    frames: int
    """Frames of audio; the rest of the window is zeros."""


class AudioWindows:
    """Encodes windows; the latest ones are kept, since language and text are heard in the same."""

    def __init__(
        self,
        model: WhisperForConditionalGeneration,
        features: Tensor | None,
        encoded: BaseModelOutput | Tensor | None = None,
    ) -> None:
        """features: (batch, n_mels, n_frames); encoded: output of the encoder for one window each, goes before them.

        Raises ValueError without either, or for features of another rank.
        """
        encoder = model.get_encoder()
        self._encoder = encoder
        self.stride = encoder.conv1.stride[0] * encoder.conv2.stride[0]
        """Frames per encoder position."""
        self.length = self.stride * model.config.max_source_positions
        """Frames of a window."""
        if isinstance(encoded, Tensor):
            encoded = BaseModelOutput(encoded)
        self._encoded, self._features = encoded, features
        if features is not None and features.ndim != 3:
            raise ValueError(f"input_features must be (batch, n_mels, n_frames), got shape {tuple(features.shape)}")
        if encoded is not None and encoded.last_hidden_state is not None:
            hidden = encoded.last_hidden_state
            self.recordings, self.frames = hidden.shape[0], hidden.shape[1] * self.stride
            """Number of recordings, and frames of each with its padding."""
        elif features is not None:
            self.recordings, self.frames = features.shape[0], features.shape[2]
        else:
            raise ValueError("generate needs input_features or encoder_outputs, and got neither")
        self._wanted = {"output_attentions": False, "output_hidden_states": False}
        self._latest: tuple[tuple[Place, ...], BaseModelOutput] | None = None

    @property
    def device(self) -> torch.device:
        """Where the audio is."""
        given = self._features if self._encoded is None else self._encoded.last_hidden_state
        assert given is not None, "checked when it was built"
        return given.device

    @property
    def has_features(self) -> bool:
        """Whether there are log-mel frames, and not only the encoder's outputs."""
        return self._features is not None

    @property
    def is_short(self) -> bool:
        """Whether one window holds all."""
        return self.frames <= self.length

    def trace(self, *, attentions: bool, hidden_states: bool) -> None:
        """Say what the encoder's outputs are to hold besides the last hidden state."""
        self._wanted = {"output_attentions": attentions, "output_hidden_states": hidden_states}

    def beginnings(self) -> BaseModelOutput:
        """Encode the first window of every recording."""
        return self.encode([Place(i, 0, min(self.frames, self.length)) for i in range(self.recordings)])

    def encode(self, places: Sequence[Place]) -> BaseModelOutput:
        """Return the encoder's output for some windows, one row each; recordings may occur more than once."""
        if self._encoded is not None:
            return rows_of(self._encoded, [place.recording for place in places])
        different = tuple(dict.fromkeys(places))
        if self._latest is None or self._latest[0] != different:
            output = self._encoder(self.features(different), **self._wanted, return_dict=True)
            assert isinstance(output, BaseModelOutput), "return_dict asks for one"
            self._latest = different, output
        if len(different) == len(places):
            return self._latest[1]
        return rows_of(self._latest[1], [different.index(place) for place in places])

    def features(self, places: Sequence[Place]) -> Tensor:
        """Cut out the log-mel frames of some windows, (len(places), n_mels, length). Raises ValueError without any."""
        if self._features is None:
            raise ValueError("this needs input_features, and only encoder_outputs were given")
        cut = [self._features[place.recording, :, place.seek : place.seek + place.frames] for place in places]
        return torch.stack([F.pad(frames, (0, self.length - frames.shape[-1])) for frames in cut])


def rows_of(output: BaseModelOutput, rows: Sequence[int]) -> BaseModelOutput:
    """Return some rows of an encoder's output."""
    if list(rows) == list(range(0 if output.last_hidden_state is None else len(output.last_hidden_state))):
        return output
    index = list(rows)
    return BaseModelOutput(
        last_hidden_state=None if output.last_hidden_state is None else output.last_hidden_state[index],
        hidden_states=None if output.hidden_states is None else tuple(layer[index] for layer in output.hidden_states),
        attentions=None if output.attentions is None else tuple(layer[index] for layer in output.attentions),
    )
