"""From windows to what the network is trained on: tokens, frame labels, and where each step should look."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from model.demo import vocabulary as v
from model.demo.voices import RATE, Spoken
from model.demo.windows import Window

POSITION = 320
"""Samples per encoder position and per timestamp: 20 ms."""
BREAK = int(0.12 * RATE)
"""A pause of this many samples ends a segment. Often, because each timestamp tells the decoder anew where it is, and
the times of words at a segment's ends need no alignment."""
IGNORE = -100
PAUSE_WEIGHT = 0.2
"""Attention on the pause after a word, relative to the word: low enough for a threshold to tell them apart, high enough
for dynamic time warping to know whose pause it is."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How one window is to be written down."""

    timestamps: bool = True
    prompt: tuple[int, ...] = ()
    """Small-vocabulary rows of previous text."""
    task: int = v.SMALL_TRANSCRIBE
    language: int = v.EN
    offset: int = 0
    """First encoder position; timestamps count from there."""
    position: int = 0
    """First decoder position."""
    max_words: int = 3
    hurried: bool = False
    """Read <|1.00|> where the first word starts later, as under Whisper's rules."""
    """Words in a segment at most."""


@dataclass(slots=True)
class Written:
    """Tokens of one window, and for each what follows and where to look; lists are as long as `tokens`."""

    tokens: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    capped: list[int] = field(default_factory=list)
    """Second labels for steps at which Whisper's rules forbid what is true; IGNORE elsewhere."""
    ahead: list[tuple[int, int, int] | None] = field(default_factory=list)
    """Positions (start, end, end of the pause) of what is to be said next."""
    behind: list[tuple[int, int] | None] = field(default_factory=list)
    """Positions (start, end) of what was just said."""

    def add(
        self,
        token: int,
        label: int = IGNORE,
        ahead: tuple[int, int, int] | None = None,
        behind: tuple[int, int] | None = None,
        capped: int = IGNORE,
    ) -> None:
        """Append one step."""
        self.tokens.append(token)
        self.labels.append(label)
        self.ahead.append(ahead)
        self.behind.append(behind)
        self.capped.append(capped)


def segments(words: tuple[Spoken, ...], max_words: int) -> list[list[Spoken]]:
    """Cut where the pause is BREAK or longer, and after `max_words`."""
    cut: list[list[Spoken]] = []
    for word in words:
        if cut and len(cut[-1]) < max_words and word.start - cut[-1][-1].end < BREAK:
            cut[-1].append(word)
        else:
            cut.append([word])
    return cut


def written(window: Window, mode: Mode, n_positions: int) -> Written:
    """Write one window down as Whisper would see it in training."""
    out = Written()
    for token in (v.PREV, *mode.prompt) if mode.prompt else ():
        out.add(token)
    speech = v.EN if window.words else (v.SILENT if window.silent else IGNORE)
    out.add(v.SOT, speech)
    out.add(mode.language)
    steps = _timed(window, mode, n_positions) if mode.timestamps else _plain(window, n_positions)
    previous = mode.task if mode.timestamps else v.PLAIN
    if not mode.timestamps:
        out.add(mode.task)
    behind: tuple[int, int] | None = None
    for index, (token, ahead, own) in enumerate(steps):
        capped = _capped(token, index, mode)
        out.add(previous, token, ahead, behind, capped)
        previous, behind = token, own
        if index == 0 and mode.hurried and mode.timestamps and mode.offset == 0 and capped != token:
            previous, behind = capped, None
    return out


def _capped(token: int, index: int, mode: Mode) -> int:
    """Say what comes at the first step if the rules forbid the truth: a later start than 1 s, or an end at once."""
    if index:
        return IGNORE
    if not mode.timestamps:
        return v.NEWLINE if token == v.EOT else IGNORE
    return min(token, v.TIME + 50)


Step = tuple[int, tuple[int, int, int] | None, tuple[int, int]]


def _span(start: int, end: int, n_positions: int) -> tuple[int, int]:
    """Turn samples into positions, at least one of them."""
    first = min(int(start / POSITION + 0.5), n_positions - 1)
    return first, max(first + 1, min(n_positions, int(end / POSITION + 0.5)))


def _timed(window: Window, mode: Mode, n_positions: int) -> list[Step]:
    """Return steps with timestamps: their attention lies on the pauses, the words' on the words."""
    if not window.words:
        return [(v.TIME, None, (0, 1)), (v.EOT, None, (0, 1))]
    steps: list[Step] = []
    heard = min(n_positions, -(-len(window.samples) // POSITION))
    before = 0
    groups = segments(window.words, mode.max_words)
    for number, group in enumerate(groups):
        start, end = _span(group[0].start, group[-1].end, n_positions)
        steps.append((v.TIME + mode.offset + start, (before, max(start, before + 1), start), (start, start + 2)))
        steps += _word_steps(group, n_positions)
        follows = heard
        if number + 1 < len(groups):
            follows = _span(groups[number + 1][0].start, n_positions * POSITION, n_positions)[0]
        before = min(n_positions - 1, (end + max(end, follows)) // 2)
        steps.append((v.TIME + mode.offset + end, (end - 1, max(before, end), before), (max(0, end - 2), end)))
    steps.append((v.EOT, (before, max(heard, before + 1), heard), (0, 1)))
    return steps


def _word_steps(group: list[Spoken], n_positions: int) -> list[Step]:
    """One step per word; the pause up to the next word of the group belongs to it a little."""
    steps: list[Step] = []
    for index, word in enumerate(group):
        start, end = _span(word.start, word.end, n_positions)
        pause = _span(group[index + 1].start, n_positions * POSITION, n_positions)[0] if index + 1 < len(group) else end
        steps.append((v.DIGIT + word.digit, (start, end, max(end, pause)), (start, end)))
    return steps


def _plain(window: Window, n_positions: int) -> list[Step]:
    """Return steps without timestamps."""
    heard = min(n_positions, -(-len(window.samples) // POSITION))
    steps = _word_steps(list(window.words), n_positions)
    last = steps[-1][2][1] if steps else 0
    first = min(last, n_positions - 1)
    steps.append((v.EOT, (first, max(heard, first + 1), heard) if steps else None, (0, 1)))
    return steps


@dataclass(frozen=True, slots=True)
class Targets:
    """One batch of targets; rows are padded with IGNORE and zeros."""

    tokens: Tensor
    """(batch, n) rows of the small vocabulary."""
    positions: Tensor
    """(batch, n) decoder positions."""
    labels: Tensor
    """(batch, n)."""
    capped: Tensor
    """(batch, n)."""
    ahead: Tensor
    """(batch, n, n_positions) where to look for what is next: sums to 1, or 0 where it does not matter."""
    behind: Tensor
    """(batch, n, n_positions) where the token just read was said."""
    frames: Tensor
    """(batch, n_positions) 0 = no word, digit + 1 within one."""
    offsets: Tensor
    """(batch,) first encoder position."""


def frame_labels(window: Window, n_positions: int) -> Tensor:
    """Which digit each encoder position lies in, (n_positions,) long."""
    labels = torch.zeros(n_positions, dtype=torch.long)
    for word in window.words:
        start, end = _span(word.start, word.end, n_positions)
        labels[start:end] = word.digit + 1
    return labels


def _spread(spans: list[tuple[int, int, int] | None], n_positions: int) -> Tensor:
    """Spans to distributions, (n, n_positions); the pause as a whole weighs at most a quarter of the word."""
    out = np.zeros((len(spans), n_positions), dtype=np.float32)
    for row, span in zip(out, spans, strict=True):
        if span is not None:
            start, end, pause = span
            row[start:end] = 1.0
            if pause > end:
                row[end:pause] = min(PAUSE_WEIGHT, 0.25 * (end - start) / (pause - end))
            row[:] = row / row.sum()
    return torch.from_numpy(out)


def targets(windows: list[Window], modes: list[Mode], n_positions: int) -> Targets:
    """Write a batch of windows down."""
    all_written = [written(window, mode, n_positions) for window, mode in zip(windows, modes, strict=True)]
    n = max(len(one.tokens) for one in all_written)

    def padded(rows: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([row + [fill] * (n - len(row)) for row in rows])

    def stacked(rows: list[Tensor]) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    starts = torch.tensor([mode.position for mode in modes])
    return Targets(
        tokens=padded([one.tokens for one in all_written], v.EOT),
        positions=(starts[:, None] + torch.arange(n)).clamp(max=447),
        labels=padded([one.labels for one in all_written], IGNORE),
        capped=padded([one.capped for one in all_written], IGNORE),
        ahead=stacked([_spread(one.ahead, n_positions) for one in all_written]),
        behind=stacked([_spread([b and (*b, b[1]) for b in one.behind], n_positions) for one in all_written]),
        frames=torch.stack([frame_labels(window, n_positions) for window in windows]),
        offsets=torch.tensor([mode.offset for mode in modes]),
    )
