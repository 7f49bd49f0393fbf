"""Positions of audio that are not encoded again: which, what that changes, and that an answer needs no history."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.audio.batch_log_mel import BatchLogMel
from model.checkpoint import Checkpoint
from model.config import ModelError
from model.decoding.encode import Encoded, EncodedWindow, WindowEncoder
from model.decoding.guards import Guards
from model.decoding.reuse import AFTER, HALO, REFRESH, EncoderReuse
from model.decoding.window_features import Window
from model.device import Precision
from model.quantization import prepare
from model.recognizer import WhisperRecognizer
from model.types import HOP, SAMPLE_RATE, WINDOW_SAMPLES, DecodeRequest
from model.whisper import WhisperEncoder, WhisperModel
from tests.model.asking import same
from tests.model.small_whisper import noise, small_checkpoint
from tests.model.stepping import WAYS, make, row

STEP = SAMPLE_RATE * 2 // 5
"""Samples between two updates, 0.4 s: 20 positions."""
MANY = 1 << 40


@cache
def speech(seed: int = 0):
    return noise(30.0, seed)


def updates(count: int, *, first: int = STEP, step: int = STEP, seed: int = 0, start: int = 0) -> list[DecodeRequest]:
    """The requests of a window that grows."""
    ends = tuple(start + first + step * index for index in range(count))
    return [
        DecodeRequest(f"s{seed}", start, speech(seed)[: end - start], earlier=ends[:index])
        for index, end in enumerate(ends)
    ]


def network(checkpoint: Checkpoint | None = None) -> WhisperModel:
    return (checkpoint or small_checkpoint()).model.model


def reusing(*, dynamic: bool = True, room: int = MANY, checkpoint: Checkpoint | None = None) -> WindowEncoder:
    whole = network(checkpoint)
    made = WindowEncoder(whole.encoder, 80, dynamic=dynamic, reuse_for=whole)
    assert made._reuse is not None
    made._reuse._max_bytes = room
    return made


def size(positions: int) -> int:
    """Bytes of a window: keys and values of two layers of encoder and decoder, and the output, float32."""
    return positions * 32 * 4 * (2 * (2 + 2) + 1)


def plain(*, dynamic: bool = True) -> WindowEncoder:
    return WindowEncoder(network().encoder, 80, dynamic=dynamic)


def one(encoder: WindowEncoder, request: DecodeRequest) -> EncodedWindow:
    (found,) = encoder.encode([request])
    return found._replace(audio=found.audio.clone())


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def differs(a: Tensor, b: Tensor) -> bool:
    return a.shape != b.shape or bool((a - b).abs().max() > 1e-3)


@pytest.mark.parametrize("dynamic", [True, False])
def test_the_first_update_of_a_window_is_encoded_as_without_reuse(dynamic):
    (first,) = updates(1, first=5 * SAMPLE_RATE)
    found, expected = one(reusing(dynamic=dynamic), first), one(plain(dynamic=dynamic), first)
    close(found.audio, expected.audio)
    assert found.computed == expected.computed == len(expected.audio)


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_later_update_computes_a_second_before_what_is_new_the_new_and_the_silence_after_it(dynamic):
    encoder = reusing(dynamic=dynamic)
    first, second = updates(2, first=8 * SAMPLE_RATE)
    one(encoder, first)
    computed = one(encoder, second).computed
    assert computed == HALO + STEP // (2 * HOP) + AFTER
    assert one(plain(dynamic=dynamic), second).computed > 3 * computed


def test_all_of_a_context_that_has_grown_is_there():
    """Silence that no earlier update had is computed, however far behind the audio it is."""
    encoder = reusing()
    first, second = updates(2, first=7 * SAMPLE_RATE + SAMPLE_RATE // 2)
    before, after = one(encoder, first), one(encoder, second)
    assert (len(before.audio), len(after.audio)) == (448, 512)
    assert after.computed == 512 - 375 + HALO
    close(after.audio[: 375 - HALO], before.audio[: 375 - HALO])


def expected_output(encoder: WhisperEncoder, old: Tensor, new: Tensor, first: int, end: int) -> Tensor:
    """Two passes over all positions, where the second one's `first` to `end` attend to the first one's others."""
    before = _stem(encoder, old)
    after = _stem(encoder, new)
    outside = torch.ones(1, before.shape[1], 1, dtype=torch.bool)
    outside[:, first:end] = False
    for layer in encoder.layers:
        mixed = torch.where(outside, before, after)
        own = layer.self_attn
        q, k, v = own.project(layer.self_attn_layer_norm(mixed))
        after = layer.feed_forward(mixed + own.attend(q, k, v))
        before, _ = layer(before)
    return encoder.layer_norm(torch.where(outside, before, after))[0]


def _stem(encoder: WhisperEncoder, features: Tensor) -> Tensor:
    x = torch.nn.functional.gelu(encoder.conv1(features[None]))
    x = torch.nn.functional.gelu(encoder.conv2(x)).transpose(1, 2)
    return x + encoder.embed_positions.weight[: x.shape[1]]


@pytest.mark.parametrize("dynamic", [True, False])
def test_what_is_computed_attends_to_the_others_as_they_were(dynamic):
    encoder = reusing(dynamic=dynamic)
    first, second = updates(2, first=8 * SAMPLE_RATE)
    one(encoder, first)
    found = one(encoder, second)
    frames = encoder.frames(len(second.audio))
    old, new = (_features(update, frames) for update in (first, second))
    expected = expected_output(network().encoder, old, new, 400 - HALO, 420 + AFTER)
    close(found.audio, expected)
    assert differs(found.audio, one(plain(dynamic=dynamic), second).audio)


def _features(request: DecodeRequest, frames: int) -> Tensor:
    return plain()._features([Window.of(request)], frames)[0]


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.integers(1, 30), min_size=1, max_size=20),
    dynamic=st.booleans(),
    heard=st.sets(st.integers(0, 19)),
)
def test_an_answer_follows_from_its_request_whatever_was_heard_before(steps, dynamic, heard):
    """Each update, or only some of them, or only the last one: the process that heard the others may be gone."""
    ends = [sum(steps[: index + 1]) * 5 * HOP for index in range(len(steps))]
    asked = [DecodeRequest("s", 0, speech()[:end], earlier=tuple(ends[:index])) for index, end in enumerate(ends)]
    encoder = reusing(dynamic=dynamic)
    for index, request in enumerate(asked):
        if index in heard:
            one(encoder, request)
    close(one(encoder, asked[-1]).audio, one(reusing(dynamic=dynamic), asked[-1]).audio)


def test_one_update_in_sixteen_is_encoded_whole():
    encoder = reusing()
    asked = updates(2 * REFRESH + 1)
    found = [one(encoder, request) for request in asked]
    whole = [index for index, window in enumerate(found) if window.computed == len(window.audio) and index > 4]
    assert whole == [REFRESH, 2 * REFRESH]
    close(found[REFRESH].audio, one(plain(), asked[REFRESH]).audio)


def test_what_is_not_known_is_heard_from_the_last_whole_update_on():
    """A new process does not hear a long window again from its beginning."""
    asked = updates(REFRESH + 3)
    last = reusing()
    found = one(last, asked[-1])
    frames = last.frames(len(asked[REFRESH].audio))
    assert found.computed <= frames // 2 + 2 * (HALO + 20 + 128)


def test_the_same_request_is_answered_again_from_what_is_known():
    encoder = reusing()
    asked = updates(3)
    for request in asked:
        found = one(encoder, request)
    again = one(encoder, asked[-1])
    assert again.computed == 0
    assert torch.equal(again.audio, found.audio)


@pytest.mark.parametrize("dynamic", [True, False])
def test_windows_of_many_streams_are_encoded_together_as_each_alone(dynamic):
    """Windows of other lengths and ages, one that is new, one that is complete and one that is asked for whole."""
    together = reusing(dynamic=dynamic)
    streams = [updates(count, first=first * SAMPLE_RATE, seed=seed) for seed, (count, first) in enumerate(SHAPES)]
    for step in range(max(count for count, _ in SHAPES) - 1, 0, -1):
        asked = [stream[-1 - step] for stream in streams if step < len(stream)]
        together.encode(asked[::-1])
    asked = [stream[-1] for stream in streams]
    asked[3] = replace(asked[3], final=True)
    found = together.encode(asked, [False, False, False, False, True])
    for place, request in enumerate(asked):
        alone = reusing(dynamic=dynamic) if place < 3 else plain(dynamic=dynamic and place != 4)
        close(found[place].audio, one(alone, request).audio)


SHAPES = ((3, 1), (5, 9), (1, 4), (2, 3), (2, 2))


def test_more_positions_than_fit_one_pass_are_encoded_in_several(monkeypatch):
    streams = [updates(2, first=(3 + seed) * SAMPLE_RATE, seed=seed) for seed in range(5)]
    encoder = reusing()
    assert encoder._reuse is not None
    encoder._reuse._together = 300
    passes = []
    renew = WhisperEncoder.renew
    monkeypatch.setattr(WhisperEncoder, "renew", lambda self, spans: passes.append(spans) or renew(self, spans))
    for step in range(2):
        found = encoder.encode([stream[step] for stream in streams])
    assert all(sum(span.length for span in spans) <= 300 or len(spans) == 1 for spans in passes)
    assert len(passes) > 5
    for stream, window in zip(streams, found, strict=True):
        close(window.audio, one(reusing(), stream[-1]).audio)


@pytest.mark.parametrize("way", ["final", "whole"])
def test_a_last_decode_and_one_that_is_asked_for_whole_know_nothing_of_it(way):
    encoder = reusing()
    asked = updates(4)
    for request in asked[:-1]:
        one(encoder, request)
    last = replace(asked[-1], final=way == "final")
    (found,) = encoder.encode([last], [way == "whole"])
    (expected,) = plain().encode([last], [way == "whole"])
    assert torch.equal(found.audio, expected.audio)
    assert found.computed == len(expected.audio)


def test_a_window_that_was_trimmed_is_encoded_whole():
    encoder = reusing()
    for request in updates(4, first=9 * SAMPLE_RATE):
        one(encoder, request)
    moved = DecodeRequest("s0", 5 * SAMPLE_RATE, speech()[5 * SAMPLE_RATE : 11 * SAMPLE_RATE])
    found = one(encoder, moved)
    close(found.audio, one(plain(), moved).audio)
    assert found.computed == len(found.audio)


def kept(encoder: WindowEncoder) -> EncoderReuse:
    assert encoder._reuse is not None
    return encoder._reuse


def test_what_is_kept_is_given_back_with_the_stream_and_with_its_last_decode():
    encoder = reusing()
    streams = [updates(2, seed=seed) for seed in range(3)]
    for stream in streams:
        one(encoder, stream[0])
    assert kept(encoder).bytes == 3 * size(128)
    encoder.forget("s0")
    encoder.forget("never heard of")
    assert kept(encoder).bytes == 2 * size(128)
    one(encoder, replace(streams[1][1], final=True))
    assert kept(encoder).bytes == size(128)


def test_a_window_for_which_there_is_no_memory_is_encoded_whole_each_time():
    encoder = reusing(room=2 * size(128))
    streams = [updates(3, seed=seed) for seed in range(3)]
    for step in range(3):
        found = [one(encoder, stream[step]) for stream in streams]
    assert kept(encoder).bytes == 2 * size(128)
    for stream, window in zip(streams[:2], found, strict=False):
        close(window.audio, one(reusing(), stream[-1]).audio)
    close(found[2].audio, one(plain(), streams[2][-1]).audio)
    assert found[2].computed == len(found[2].audio)
    encoder.forget("s0")
    close(one(encoder, streams[2][-1]).audio, one(reusing(), streams[2][-1]).audio)


def test_a_window_that_outgrows_the_memory_there_is_is_encoded_whole_from_then_on():
    encoder = reusing(room=size(300))
    asked = updates(12)
    found = [one(encoder, request) for request in asked]
    assert kept(encoder).bytes == 0
    assert [len(window.audio) for window in found[-2:]] == [320, 320]
    close(found[-1].audio, one(plain(), asked[-1]).audio)


def test_a_pass_that_fails_half_way_leaves_nothing_that_is_believed(monkeypatch):
    encoder = reusing()
    asked = updates(4, first=4 * SAMPLE_RATE)
    for request in asked[:-1]:
        one(encoder, request)
    layer = network().encoder.layers[1]
    with monkeypatch.context() as broken:
        broken.setattr(layer, "feed_forward", _no_memory)
        with pytest.raises(MemoryError):
            encoder.encode([asked[-1]])
    close(one(encoder, asked[-1]).audio, one(reusing(), asked[-1]).audio)


def _no_memory(_):
    raise MemoryError


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.BFLOAT16, Precision.FLOAT16])
def test_every_precision_computes_parts_as_exactly_as_the_whole(precision):
    checkpoint = replace(small_checkpoint(), model=deepcopy(small_checkpoint().model).to(precision.dtype))
    prepare(checkpoint.model, precision)
    asked = updates(6, first=4 * SAMPLE_RATE)
    encoder = reusing(checkpoint=checkpoint)
    parts = [one(encoder, request) for request in asked][-1]
    whole = one(WindowEncoder(network(checkpoint).encoder, 80, dynamic=True), asked[-1])
    assert parts.audio.dtype == whole.audio.dtype
    error = (parts.audio.float() - one(reusing(), asked[-1]).audio).abs().mean()
    assert error < 1.2 * (whole.audio.float() - one(plain(), asked[-1]).audio).abs().mean()
    assert torch.equal(one(reusing(checkpoint=checkpoint), asked[-1]).audio, parts.audio)


def test_features_that_come_from_a_batch_are_as_good(monkeypatch):
    """On a GPU nothing is kept of a stream's features."""
    encoder = reusing()
    monkeypatch.setattr(encoder._features, "_batched", BatchLogMel(80, torch.device("cpu")))
    found = [one(encoder, request) for request in updates(3)][-1]
    torch.testing.assert_close(found.audio, one(reusing(), updates(3)[-1]).audio, atol=5e-3, rtol=1e-3)


def test_no_window_is_longer_than_the_longest():
    first = WINDOW_SAMPLES - 3 * STEP
    encoder = reusing()
    found = [one(encoder, request) for request in updates(4, first=first)]
    assert {len(window.audio) for window in found} == {1500}
    assert found[-1].computed == HALO + 20


def recognizer(**options) -> WhisperRecognizer:
    return WhisperRecognizer(small_checkpoint(), reuse=True, **options)


def test_statistics_say_how_many_positions_were_computed():
    tested = recognizer()
    first, second = updates(2, first=8 * SAMPLE_RATE)
    (whole,), (part,) = (tested.transcribe([replace(asked, language="en")]) for asked in (first, second))
    assert (whole.statistics.computed_positions, whole.statistics.encoder_positions) == (1500, 1500)
    assert (part.statistics.computed_positions, part.statistics.encoder_positions) == (134, 1500)
    tested.forget("s0")
    assert tested._encoder._reuse is not None
    assert tested._encoder._reuse.bytes == 0


@pytest.mark.parametrize(("index", "final", "spared"), [(0, False, False), (3, False, True), (3, True, False)])
def test_an_attempt_that_was_spared_work_may_be_made_again_without(index, final, spared):
    """A guard that objects to what was heard of positions that are not fresh has it heard afresh."""
    asked = replace(updates(4, first=8 * SAMPLE_RATE)[index], final=final, language="en")
    checkpoint, guards = small_checkpoint(-1.2), Guards(no_speech=1.1, compression=-1.0, temperatures=())
    tested = WhisperRecognizer(checkpoint, reuse=True, guards=guards)
    (answer,) = tested.transcribe([asked])
    assert answer.words
    assert answer.statistics.fallbacks == (1 if spared else 0)
    assert answer.statistics.computed_positions == 1500
    (expected,) = WhisperRecognizer(checkpoint, guards=guards).transcribe([asked])
    same(answer, expected)


@pytest.mark.parametrize(
    ("wanted", "card", "reuses"),
    [("auto", True, True), ("auto", False, False), ("on", False, True), ("off", True, False)],
)
def test_positions_are_used_again_where_it_is_asked_for_or_was_measured(monkeypatch, wanted, card, reuses):
    extra = {"streamer": {"encoder_reuse": True}} if card else {}
    checkpoint = replace(small_checkpoint(), config=replace(small_checkpoint().config, extra=extra))
    monkeypatch.setattr("model.recognizer.load_for_recognition", lambda *_, **__: checkpoint)
    assert (WhisperRecognizer.load(encoder_reuse=wanted)._encoder._reuse is not None) == reuses


def test_a_word_that_is_neither_on_nor_off_is_refused_by_name():
    with pytest.raises(ModelError, match="encoder_reuse must be auto, on or off, got 'maybe'"):
        WhisperRecognizer.load("demo", "cpu", encoder_reuse="maybe", offline=True)


@pytest.mark.parametrize("way", WAYS)
def test_a_decoder_goes_on_from_what_it_made_of_positions_before(way):
    """Rows it has heard in parts, one it has not heard, and one alone, with graphs or without."""
    streams = [updates(3, first=(2 + 3 * seed) * SAMPLE_RATE, seed=seed) for seed in range(3)]
    encoder = reusing()
    for step in range(2):
        encoder.encode([stream[step] for stream in streams])
    windows = encoder.encode([stream[-1] for stream in streams], [False, True, False])
    assert [window.known is None for window in windows] == [False, True, False]
    asked = [row(limit=12)] * 3
    encoded = Encoded.of([window.audio for window in windows])
    with_parts, plain_ones = (
        make(WAYS[way]).decode(encoded.audio, encoded.lengths, asked, 0.0, known)
        for known in ([window.known for window in windows], [])
    )
    for found, expected in zip(with_parts, plain_ones, strict=True):
        assert found.tokens == expected.tokens
        assert found.average_log_probability == pytest.approx(expected.average_log_probability, abs=1e-4)
    (alone,) = make(WAYS[way]).decode(windows[0].audio[None], None, asked[:1], 0.0, [windows[0].known])
    assert alone.tokens == plain_ones[0].tokens


def test_what_a_decoder_made_of_other_positions_would_be_heard():
    """The test above could fail."""
    encoder = reusing()
    (window,) = [encoder.encode([request]) for request in updates(3, first=4 * SAMPLE_RATE)][-1]
    assert window.known is not None
    asked = [row(limit=12)]
    (right,) = make(None).decode(window.audio[None], None, asked, 0.0, [window.known])
    with torch.inference_mode():
        window.known.values[1].neg_()
    (wrong,) = make(None).decode(window.audio[None], None, asked, 0.0, [window.known])
    assert right.tokens != wrong.tokens
