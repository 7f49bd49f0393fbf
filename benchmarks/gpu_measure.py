"""What an update costs on a device, in parts and as a whole."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from benchmarks.engines_work import spoil
from benchmarks.gpu_network import EOT, HEAD, Shape, decoder_of
from model.align import align_tokens
from model.decoding.decode import BatchDecoder
from model.decoding.encode import Encoded, EncodedWindow, WindowEncoder
from model.decoding.graphs import Stepping, StepSource
from model.decoding.rows import Decoded, DecodeRow, Row
from model.types import HOP, SAMPLE_RATE, DecodeRequest
from model.whisper import WhisperForConditionalGeneration

TOKENS = 30
"""New tokens of an update: eight seconds of speech."""
TEXT = 60
"""Tokens a row holds when a step of it is measured."""
CELLS = 128


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how long to measure."""

    device: torch.device
    seconds: float
    """At most for each figure; at least `rounds` are made."""
    rounds: int = 3

    def time(self, work: Callable[[], object]) -> float:
        """Return the least seconds that `work` takes, all that it has started included; once before to warm up."""
        work()
        self.wait()
        times: list[float] = []
        started = perf_counter()
        while len(times) < self.rounds or perf_counter() - started < self.seconds:
            before = perf_counter()
            work()
            self.wait()
            times.append(perf_counter() - before)
        return min(times)

    def wait(self) -> None:
        """Let the device finish."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def clear(self) -> None:
        """Give back what nobody uses any more."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


@torch.inference_mode()
def encoder_seconds(
    bench: Bench, network: WhisperForConditionalGeneration, rows: int, positions: int, *, compiled: bool
) -> float:
    """Time the encoder on a batch of features, the decoder's keys and values not included."""
    encoder = network.model.encoder
    weight = encoder.conv1.weight
    features = torch.randn(rows, weight.shape[1], 2 * positions, device=bench.device).to(weight.dtype)
    encode = torch.compile(encoder.encode, dynamic=True) if compiled else encoder.encode
    return bench.time(lambda: encode(features))


@torch.inference_mode()
def step_seconds(
    bench: Bench,
    shape: Shape,
    network: WhisperForConditionalGeneration,
    size: tuple[int, int],
    stepping: Stepping,
) -> float:
    """Time one token of each row, nobody reading; size: rows and encoder positions."""
    rows, positions = size
    decoder = decoder_of(shape, network, stepping=stepping)
    source = decoder.steps
    assert isinstance(source, StepSource)
    weight = network.model.encoder.conv1.weight
    audio = torch.randn(rows, positions, shape.d_model, device=bench.device).to(weight.dtype)
    step = source.step(source.open(audio, None, CELLS))
    step.load([_running(bench.device) for _ in range(rows)])
    steps = 20

    def advance() -> None:
        step.place.count.zero_()
        step.place.state[1].fill_(TEXT)
        for _ in range(steps):
            step()

    return bench.time(advance) / steps


def _running(device: torch.device) -> Row:
    """Return a row in the middle of its text, that will go on for ever."""
    row = Row(DecodeRow(HEAD, 0, limit=1 << 30), 0.0, device)
    row.decoded, row.certain, row.position = [EOT + 107, 1], [1], TEXT
    return row


@dataclass(frozen=True, slots=True)
class Update:
    """What one batch of updates took, in seconds, and how its drafts fared."""

    features_and_encoder: float
    decoder: float
    alignment: float
    passes: int
    accepted: float
    """Share of the draft's tokens; 0 without a draft."""

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.features_and_encoder + self.decoder + self.alignment


class Updates:
    """Makes updates of many streams at once: audio in, token times out."""

    def __init__(self, bench: Bench, shape: Shape, network: WhisperForConditionalGeneration) -> None:
        """Prepare one encoder and one decoder, which all figures share."""
        self._bench = bench
        self._encoder = WindowEncoder(network.model.encoder, shape.mels, dynamic=True)
        self._decoder: BatchDecoder = decoder_of(shape, network)

    def measure(self, rows: int, seconds: float, acceptance: float | None) -> Update:
        """Time updates of windows of so many seconds; acceptance: what a draft has right of the text, None for none."""
        requests = [request(seconds, index) for index in range(rows)]
        encoding = self._bench.time(lambda: _batch(self._encoder.encode(requests)))
        return self._decoded(self._encoder.encode(requests), seconds, acceptance, encoding)

    def _decoded(
        self, windows: Sequence[EncodedWindow], seconds: float, acceptance: float | None, encoding: float
    ) -> Update:
        """Time what comes after the encoder; encoding: seconds that it took."""
        encoded, known = _batch(windows), [window.known for window in windows]

        def decode(rows: Sequence[DecodeRow]) -> list[Decoded]:
            return self._decoder.decode(encoded.audio, encoded.lengths, rows, 0.0, known)

        asked = [DecodeRow(HEAD, 0, limit=TOKENS)] * len(windows)
        if acceptance is not None:
            right = decode(asked)
            asked = [DecodeRow(HEAD, 0, draft=damaged(out.tokens, acceptance), limit=TOKENS) for out in right]
        found = decode(asked)
        end = int(seconds * SAMPLE_RATE) // (2 * HOP)
        return Update(
            encoding,
            self._bench.time(lambda: decode(asked)),
            self._bench.time(lambda: _align(found, end)),
            max(out.passes for out in found),
            sum(out.accepted for out in found) / max(sum(out.drafted for out in found), 1),
        )


def _batch(windows: Sequence[EncodedWindow]) -> Encoded:
    return Encoded.of([window.audio for window in windows])


def _align(found: Sequence[Decoded], end: int) -> None:
    """Find out when tokens were said, row by row, as a recognizer does."""
    for out in found:
        assert out.attention is not None
        align_tokens(out.attention, 0, 0, end)


def damaged(tokens: list[int], acceptance: float) -> tuple[int, ...]:
    """Return a draft that has that share of a text right; a wrong token is the next one of the vocabulary."""
    bad = spoil(len(tokens), round((1 - acceptance) * len(tokens)))
    kept = enumerate(tokens[: len(tokens) - bad.missing])
    return tuple((token + 1) % EOT if at in bad.wrong else token for at, token in kept)


def request(seconds: float, index: int) -> DecodeRequest:
    """Return a window of loud noise: zeros take less time and power than sound on some devices."""
    random = np.random.default_rng(index)
    audio = (0.1 * random.standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)
    return DecodeRequest(f"s{index}", 0, audio)
