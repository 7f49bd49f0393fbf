"""Log-mel of a training batch, with other vocal tracts, other microphones, and parts blotted out.

Without these it equals Whisper's own extraction. The augmentations work on the mel power because there they cost
almost nothing: stretching the frequency axis of the filters (VTLP, Jaitly and Hinton 2013) stands for another vocal
tract, a smooth gain over the bands for another microphone, blotted rectangles are SpecAugment (Park et al. 2019).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BANDS = 80
VOICES = 120
"""Ways of stretching the frequency axis that are drawn from."""
FLOORED = 0.6
"""Share of rows with a floor of noise."""
EDGED = 0.5
"""Share of rows that lose what is low, and of those that lose what is high."""
KNOTS = np.array([0.0, 700.0, 1500.0, 2600.0, 4800.0, 8000.0])
"""Hertz; between them the stretch is linear: other proportions of formants, not only another length of the tract."""
BINS = np.linspace(0.0, 8000.0, 201)
"""Hertz of the spectrum's bins."""


def _mel_to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: linear below 1 kHz (15 mel), logarithmic above."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def band_edges() -> NDArray[np.float64]:
    """Return in hertz where the bands begin, have their middles, and end: (BANDS + 2,), each shared by neighbours."""
    top = 15 + np.log(8.0) / (np.log(6.4) / 27)
    return _mel_to_hertz(np.linspace(0, top, BANDS + 2))


def mel_filters(heard: NDArray[np.float64] = BINS) -> Tensor:
    """Triangular filters of equal area, (201, 80), that take bin i for the frequency heard[i]. Source: librosa."""
    edges = band_edges()
    rising = (heard[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - heard[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return torch.from_numpy(filters).float()


def other_voice(strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw where another speaker's formants lie: a frequency for each bin, rising; `strength` 0 to 1."""
    tract = rng.uniform(-0.18, 0.17)
    factors = np.exp(strength * (tract + rng.normal(0, 0.05, len(KNOTS))))
    factors[-1] = 1.0
    moved = np.maximum.accumulate(KNOTS * factors)
    return np.interp(BINS, KNOTS, np.minimum(moved, 8000.0))


class Ear:
    """Turns a batch of audio into log-mel frames."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Make the filters once; `rng` draws the augmentations."""
        self.rng = rng
        self.window = torch.hann_window(400)
        self.plain = mel_filters()
        self.bands = band_edges()[1:-1]
        """Hertz in the middle of each band."""
        strengths = np.linspace(0, 1, VOICES)
        self.warped = torch.stack([mel_filters(other_voice(float(strength), rng)) for strength in strengths])

    def power(self, audio: Tensor) -> Tensor:
        """(batch, n) samples to (batch, n / 160, 201) spectral power."""
        spectrum = torch.stft(audio, 400, 160, window=self.window, return_complex=True)[..., :-1]
        return spectrum.abs().square().transpose(1, 2)

    def listen(self, audio: Tensor, amount: float = 0.0) -> Tensor:
        """(batch, n) samples at 16 kHz to (batch, 80, n / 160) log-mel; `amount` 0 is Whisper's own, 1 all changes."""
        filters = self.plain.expand(len(audio), -1, -1)
        if amount:
            drawn = VOICES * amount * np.sqrt(self.rng.random(len(audio)))
            filters = self.warped[np.minimum(drawn, VOICES - 1).astype(int)]
        mel = torch.bmm(self.power(audio), filters)
        if amount:
            mel = mel * self._microphones(len(audio), amount)
            mel = mel + self._floors(mel)
        log = mel.clamp(min=1e-10).log10()
        log = torch.maximum(log, log.amax(dim=(1, 2), keepdim=True) - 8.0)
        log = (log + 4.0) / 4.0
        if amount:
            self._blot(log, amount)
        return log.transpose(1, 2)

    def _microphones(self, batch: int, amount: float) -> Tensor:
        """Gains over the bands, (batch, 1, 80): smooth ones, about 4 dB of deviation at full amount, and two edges."""
        smooth = self._waves(batch, {1: 4.0, 2: 2.5, 3: 1.5, 5: 1.0}) * amount * self.rng.integers(0, 2, (batch, 1))
        return torch.from_numpy(10 ** ((smooth + self._edges(batch)) / 10)).float()[:, None]

    def _waves(self, batch: int, deviations: dict[int, float]) -> NDArray[np.float64]:
        """Draw smooth curves over the bands, (batch, 80): cosines of so many half periods, deviating by so many dB."""
        place = np.linspace(0, np.pi, BANDS)
        waves = np.stack([np.cos(k * place) for k in deviations])
        return np.asarray(self.rng.normal(0, list(deviations.values()), (batch, len(deviations))) @ waves)

    def _some(self, batch: int, share: float, least: float, most: float, others: float) -> NDArray[np.float64]:
        """Draw a number between two for a share of the rows, (batch, 1); the others have theirs."""
        chosen = self.rng.random((batch, 1)) < share
        return np.where(chosen, self.rng.uniform(least, most, (batch, 1)), others)

    def _edges(self, batch: int) -> NDArray[np.float64]:
        """Where a microphone begins and ends to hear, in dB over the bands, (batch, 80).

        How deep the lowest voice is, and what a recording has above 4 kHz, tell speakers of a small collection apart,
        not words: a speaker who was not heard is heard with a third of the errors without what is below 300 Hz.
        """
        octaves = np.log2(self.bands / np.exp(self.rng.uniform(np.log(80), np.log(600), (batch, 1))))
        steepness = self._some(batch, EDGED, -4.0, 24.0, 0.0)
        low = np.minimum(octaves, 0) * steepness
        beyond = self.bands > self.rng.uniform(3300, 4300, (batch, 1))
        loss = self._some(batch, EDGED, 0.0, 60.0, 0.0)
        return np.asarray(np.clip(low, -60, 12) - beyond * loss)

    def _floors(self, mel: Tensor) -> Tensor:
        """Floors of noise that does not waver, (batch, 1, 80), 30 to 80 dB below the loudest band of each row.

        Whisper hears 80 dB. The lowest thirty are the recording's own: without this the network learns them. Beyond
        4 kHz, where recordings of a telephone's rate have nothing, the floor is another one.
        """
        batch = len(mel)
        depth = self._some(batch, FLOORED, 3.0, 8.0, 12.0)
        upper = self._some(batch, FLOORED, 3.0, 8.0, 12.0)
        shape = self._waves(batch, {1: 6.0, 2: 3.0, 3: 2.0}) / 10
        floors = 10 ** (shape - depth) + (self.bands > 3900) * 10**-upper
        return mel.amax(dim=(1, 2), keepdim=True) * torch.from_numpy(floors).float()[:, None]

    def _blot(self, log: Tensor, amount: float) -> None:
        """Blot out bands and a few frames, in place; log: (batch, n_frames, 80)."""
        for row in log:
            if self.rng.random() > 0.6 * amount:
                continue
            fill = float(row.mean()) if self.rng.random() < 0.5 else float(row.min())
            for _ in range(int(self.rng.integers(0, 4))):
                band, width = self.rng.integers(0, BANDS), self.rng.integers(1, 12)
                row[:, band : band + width] = fill
            for _ in range(len(row) // 100):
                frame, width = self.rng.integers(0, len(row)), self.rng.integers(1, 7)
                row[frame : frame + width] = fill
