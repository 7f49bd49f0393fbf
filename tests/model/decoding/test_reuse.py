"""Positions of audio that are not encoded again: which, what that changes, and that an answer needs no history."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.audio.batch_log_mel import BatchLogMel
from model.config import ModelError
from model.decoding.encode import Encoded, WindowEncoder
from model.decoding.guards import Guards
from model.decoding.parts import AFTER, HALO, REFRESH
from model.decoding.window_features import Window
from model.device import Precision
from model.quantization import prepare
from model.recognizer import WhisperRecognizer
from model.types import HOP, SAMPLE_RATE, WINDOW_SAMPLES, DecodeRequest
from model.whisper import WhisperEncoder
from tests.model.asking import same
from tests.model.growing import STEP, close, differs, kept, network, one, plain, reusing, speech, updates
from tests.model.small_whisper import small_checkpoint
from tests.model.stepping import WAYS, make, row


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
    kept(encoder)._together = 300
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


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.integers(1, 3000) | st.integers(1, 40_000), min_size=1, max_size=20),
    start=st.sampled_from([0, 160, 1120]),
    dynamic=st.booleans(),
)
@torch.inference_mode()
def test_many_updates_in_a_row_are_what_is_said_of_them(steps, start, dynamic):
    """Ends anywhere, not on positions; windows of a few samples and of 30 s."""
    ends = [start + end for end in np.cumsum(steps).tolist() if end <= WINDOW_SAMPLES]
    asked = [DecodeRequest("s", start, speech()[: end - start], earlier=tuple(ends[:i])) for i, end in enumerate(ends)]
    encoder = reusing(dynamic=dynamic)
    for request in asked:
        found = one(encoder, request)
    close(found.audio, reference(asked, dynamic=dynamic))
    close(one(reusing(dynamic=dynamic), asked[-1]).audio, found.audio)


def reference(asked: list[DecodeRequest], *, dynamic: bool) -> Tensor:
    """What the last of some updates should hear, from inputs of each layer that are kept by hand, NaN if unknown."""
    encoder, frontend = network().encoder, plain(dynamic=dynamic)
    known = [torch.zeros(0, 32)] * (len(encoder.layers) + 1)
    for index, request in enumerate(asked):
        frames = frontend.frames(len(request.audio))
        positions = frames // 2
        stem = _stem(encoder, _features(request, frames))[0]
        first, end = 0, positions
        if index % REFRESH:
            before = asked[index - 1].end - request.start
            first = max(before // 320 - HALO, 0)
            if positions == frontend.frames(before) // 2:
                end = min(positions, -(-len(request.audio) // 320) + AFTER)
        unknown = [stem.new_full((positions - len(x), 32), torch.nan) for x in known]
        known = [torch.cat([x, more]) for x, more in zip(known, unknown, strict=True)]
        known[0][first:end] = stem[first:end]
        for number, layer in enumerate(encoder.layers):
            x = known[number][None]
            q, k, v = layer.self_attn.project(layer.self_attn_layer_norm(x))
            mixed = layer.self_attn.attend(q[:, :, first:end], k, v)
            known[number + 1][first:end] = layer.feed_forward(x[:, first:end] + mixed)[0]
    return encoder.layer_norm(known[-1])


def test_what_is_known_of_a_window_says_nothing_of_one_that_begins_elsewhere():
    encoder = reusing()
    first = DecodeRequest("s0", 0, speech()[: 6 * SAMPLE_RATE])
    one(encoder, first)
    other = DecodeRequest("s0", 2 * SAMPLE_RATE, speech()[2 * SAMPLE_RATE : 6 * SAMPLE_RATE])
    assert (other.end, other.earlier) == (first.end, first.earlier)
    close(one(encoder, other).audio, one(reusing(), other).audio)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_known_from_other_updates_is_not_gone_on_from(place):
    """As many updates, one of which ended elsewhere."""
    asked = updates(4, first=8 * SAMPLE_RATE)
    encoder = reusing()
    for request in asked[:-1]:
        one(encoder, request)
    ends = list(asked[-1].earlier)
    ends[place] -= STEP // 2
    other = replace(asked[-1], earlier=tuple(ends))
    found = one(encoder, other)
    assert found.computed > 400, "nothing of it was known"
    close(found.audio, one(reusing(), other).audio)
    assert differs(found.audio, one(reusing(), asked[-1]).audio)


def test_an_update_that_lies_before_what_is_known_is_heard_from_its_own_history():
    encoder = reusing()
    asked = updates(6, first=8 * SAMPLE_RATE)
    for request in asked:
        one(encoder, request)
    close(one(encoder, asked[3]).audio, one(reusing(), asked[3]).audio)


def test_updates_that_were_heard_first_are_counted():
    assert one(reusing(dynamic=False), updates(REFRESH, first=2 * SAMPLE_RATE)[-1]).computed == 1500 + 15 * 134


def test_two_requests_of_one_stream_in_a_batch_are_both_answered():
    asked = updates(4, first=4 * SAMPLE_RATE)
    encoder = reusing()
    for request in asked[:2]:
        one(encoder, request)
    found = encoder.encode([asked[3], asked[2], asked[3]])
    for request, window in zip([asked[3], asked[2], asked[3]], found, strict=True):
        close(window.audio, one(reusing(), request).audio)


@pytest.mark.parametrize(("first", "dynamic"), [(STEP, False), (15 * SAMPLE_RATE // 2, True)])
def test_silence_or_a_beginning_that_stays_is_work_that_was_spared(first, dynamic):
    """Of a short window only silence stays, of a context that grows only the beginning."""
    whole, part = updates(2, first=first)
    tested = kept(reusing(dynamic=dynamic))
    assert (tested.spares(whole), tested.spares(part)) == (False, True)


def test_a_last_decode_is_spared_nothing():
    part = updates(2, first=8 * SAMPLE_RATE)[-1]
    tested = reusing(dynamic=False)
    assert (tested.spares(part), tested.spares(replace(part, final=True))) == (True, False)


def test_what_is_kept_is_as_narrow_as_the_attention_where_that_is_narrow(monkeypatch):
    """On processors with tiles keys and values are bfloat16 and everything else is not; others can compute that too."""
    monkeypatch.setattr("model.quantization.has_tiles", lambda: True)
    checkpoint = replace(small_checkpoint(), model=deepcopy(small_checkpoint().model))
    prepare(checkpoint.model, Precision.INT8, [(1, 0)])
    encoder = reusing(checkpoint=checkpoint)
    asked = updates(6, first=4 * SAMPLE_RATE)
    found = [one(encoder, request) for request in asked]
    memory = kept(encoder)._known["s0"].memory
    assert len(found[0].audio) < len(found[-1].audio) == memory.positions
    assert {part.dtype for part in (*memory.own.keys, *memory.own.values)} == {torch.bfloat16}
    assert [part.dtype for part in memory.cross.keys] == [torch.bfloat16, torch.float32], "one has its weights wanted"
    assert memory.output.dtype == torch.float32
    whole = one(WindowEncoder(network(checkpoint).encoder, 80, dynamic=True), asked[0])
    torch.testing.assert_close(found[0].audio, whole.audio, rtol=0.1, atol=0.1)


def test_what_is_clamped_in_16_bits_is_clamped_in_parts_too():
    checkpoint = replace(small_checkpoint(), model=deepcopy(small_checkpoint().model).half())
    prepare(checkpoint.model, Precision.FLOAT16)
    with torch.no_grad():
        network(checkpoint).encoder.layers[0].fc2.bias.fill_(60_000)
        network(checkpoint).encoder.layers[1].fc2.bias.fill_(60_000)
    asked = updates(2, first=4 * SAMPLE_RATE)
    encoder = reusing(checkpoint=checkpoint)
    assert all(one(encoder, request).audio.isfinite().all() for request in asked)


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
    assert kept(tested._encoder).bytes == 0


@pytest.mark.parametrize(("index", "final", "spared"), [(0, False, False), (3, False, True), (3, True, False)])
def test_an_attempt_that_was_spared_work_may_be_made_again_without(index, final, spared):
    """A guard that objects to what was heard of positions that are not fresh has it heard afresh."""
    asked = replace(updates(4, first=8 * SAMPLE_RATE)[index], final=final, language="en")
    checkpoint, guards = small_checkpoint(-1.2), Guards(no_speech=1.1, compression=-1.0, temperatures=())
    tested = WhisperRecognizer(checkpoint, reuse=True, guards=guards)
    (answer,) = tested.transcribe([asked])
    assert answer.words
    assert answer.statistics.fallbacks == (1 if spared else 0)
    assert answer.statistics.computed_positions == 1500 + (3 * 134 + 1500 if spared else 0)
    (expected,) = WhisperRecognizer(checkpoint, guards=guards).transcribe([asked])
    same(answer, expected)


@pytest.mark.parametrize(
    ("wanted", "card", "device", "reuses"),
    [
        ("auto", True, "cpu", True),
        ("auto", True, "cuda", False),
        ("auto", False, "cpu", False),
        ("on", False, "cuda", True),
        ("off", True, "cpu", False),
    ],
)
def test_positions_are_used_again_where_it_is_asked_for_or_was_measured(monkeypatch, wanted, card, device, reuses):
    extra = {"streamer": {"encoder_reuse": True}} if card else {}
    checkpoint = replace(small_checkpoint(), config=replace(small_checkpoint().config, extra=extra))
    monkeypatch.setattr("model.recognizer.load_for_recognition", lambda *_, **__: checkpoint)
    monkeypatch.setattr(type(checkpoint.model), "device", torch.device(device))  # only asked, nothing moves there
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
