"""The clip bank on disk: one memory-mapped int16 array that all training processes share, and its table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.demo.voices import Clip, Samples, Spoken


@dataclass(frozen=True, slots=True)
class Bank:
    """Clips grouped by voice; a clip is read from disk when asked for."""

    audio: NDArray[np.int16]
    """All clips end to end, 16 kHz."""
    spans: NDArray[np.int64]
    """(clips, 2): first and one-past-last sample of each clip."""
    words: NDArray[np.int64]
    """(words, 4): clip, digit, start, end in samples of the clip."""
    voices: tuple[str, ...]
    """The voice of each clip."""
    clips_of: dict[str, NDArray[np.int64]]
    """The clips of each voice."""
    first_digits: NDArray[np.int64]
    """(clips,): what each clip begins with."""

    def clip(self, index: int) -> Clip:
        """Read one clip."""
        begin, end = self.spans[index]
        samples: Samples = self.audio[begin:end].astype(np.float32) / np.float32(32768)
        first, last = np.searchsorted(self.words[:, 0], [index, index + 1])
        words = tuple(Spoken(int(d), int(s), int(e)) for _, d, s, e in self.words[first:last])
        return Clip(samples, words, self.voices[index])


def write_bank(clips: Iterable[Clip], folder: Path) -> None:
    """Write `clips` into `folder` as audio.npy and table.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces, spans, words, voices, position = [], [], [], [], 0
    for index, clip in enumerate(clips):
        pieces.append(np.round(np.clip(clip.samples, -1, 1) * 32767).astype(np.int16))
        spans.append((position, position + len(clip.samples)))
        words += [(index, word.digit, word.start, word.end) for word in clip.words]
        voices.append(clip.voice)
        position += len(clip.samples)
    np.save(folder / "audio.npy", np.concatenate(pieces))
    np.savez(folder / "table.npz", spans=np.array(spans), words=np.array(words), voices=np.array(voices))


def read_bank(folder: Path, without: Iterable[str] = ()) -> Bank:
    """Open the bank in `folder`; voices in `without` are left out."""
    table = np.load(folder / "table.npz")
    voices = table["voices"]
    names = [str(name) for name in np.unique(voices) if name not in set(without)]
    clips_of = {name: np.flatnonzero(voices == name) for name in names}
    audio = np.load(folder / "audio.npy", mmap_mode="r")
    words = table["words"]
    first_digits = words[np.searchsorted(words[:, 0], np.arange(len(voices))), 1]
    return Bank(audio, table["spans"], words, tuple(map(str, voices)), clips_of, first_digits)
