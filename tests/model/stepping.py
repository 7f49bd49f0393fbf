"""Decoders of the small network that make their steps in every way there is, all of them on a CPU."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch

from model.decoding.decode import BatchDecoder
from model.decoding.graphs import WARM_UPS, Replay, Stepping
from model.decoding.rows import Decoded, DecodeRow
from model.decoding.step import DecodeStep
from model.layers import decoder as decoder_module
from model.layers.cache import DecoderCache
from model.rules import LogitRules
from model.types import Task
from tests.model.small_whisper import small_checkpoint, small_tokenizer

TOKENIZER = small_tokenizer()
STAMP = TOKENIZER.timestamp_begin
HEADS = ((0, 1), (1, 0))
LOUD = 1e4
"""What is written where nothing may look."""


def record(step: DecodeStep) -> Replay:
    """Do what a capture does to the memory: run the step a few times on whatever is there."""
    for _ in range(WARM_UPS):
        step()
    return step


WAYS: dict[str, Stepping | None] = {
    "passes by the host": None,
    "plain steps": Stepping(),
    "plain steps, one ahead": Stepping(lookahead=1),
    "recorded steps": Stepping(record),
    "recorded steps, one ahead": Stepping(record, lookahead=1),
    "recorded steps, two ahead": Stepping(record, lookahead=2),
}


class DeviceDecoder(BatchDecoder):
    """Reads no number back between two launches: does on a CPU what is done on a GPU."""

    def decode(self, *arguments: object, **options: object) -> list[Decoded]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(decoder_module, "host_sight", decoder_module.device_sight)
            return super().decode(*arguments, **options)


class LoudDecoder(BatchDecoder):
    """Writes garbage into every cell and position of its caches that belongs to no row."""

    def _open(self, audio: torch.Tensor, *arguments: object) -> DecoderCache:
        cache_ = super()._open(audio, *arguments)  # type: ignore[arg-type]
        own = cache_.cross_lengths[:, None] > torch.arange(cache_.layers[0].cross_keys.shape[2])
        for cells in cache_.layers:
            cells.self_keys.fill_(LOUD)
            cells.self_values.fill_(-LOUD)
            cells.cross_keys.masked_fill_(~own[:, None, :, None], LOUD)
            cells.cross_values.masked_fill_(~own[:, None, :, None], -LOUD)
        return cache_


def make(
    stepping: Stepping | None,
    kind: type[BatchDecoder] = BatchDecoder,
    *,
    suppress: tuple[int, ...] = (),
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> BatchDecoder:
    """Return a decoder of the small network; suppress: more tokens that never come."""
    checkpoint = small_checkpoint()
    network = checkpoint.model
    if (device, dtype) != ("cpu", torch.float32):
        network = copy.deepcopy(network).to(device, dtype)
    generation = checkpoint.generation
    rules = LogitRules(
        vocab_size=checkpoint.config.vocab_size,
        eot=TOKENIZER.eot,
        no_timestamps=TOKENIZER.notimestamps,
        suppress=(*(generation.suppress_tokens or ()), *suppress),
        begin_suppress=generation.begin_suppress_tokens or (),
        max_initial_timestamp=generation.max_initial_timestamp_index,
        device=device,
    )
    if stepping is not None and stepping.capture is not None:
        kind = type(kind.__name__, (DeviceDecoder, kind), {})
    return kind(network, rules, nospeech=TOKENIZER.nospeech, alignment_heads=HEADS, stepping=stepping)


@cache
def audio(rows: int = 6, positions: int = 100) -> torch.Tensor:
    """Encoder output of loud random features: rows that differ a lot."""
    features = 2 * torch.randn(rows, 80, 2 * positions, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return small_checkpoint().model.model.encoder.encode(features).clone()


def row(
    language: str = "en", task: Task = Task.TRANSCRIBE, prompt: tuple[int, ...] = (), limit: int = 40, **changes: object
) -> DecodeRow:
    """Return a row that starts with a prompt and a language."""
    sot = TOKENIZER.sot_sequence(language, task)
    head = (TOKENIZER.startofprev, *prompt, *sot) if prompt else sot
    return DecodeRow(head, len(head) - len(sot), limit=limit, **changes)
