"""How much is kept of windows that are encoded in parts, and for how long."""

import os
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.decoding.encode import CPU_POSITIONS
from model.decoding.parts import HALO
from model.decoding.room import cgroup_limits, room_on
from model.layers.window_memory import AttentionMemory, WindowMemory
from model.types import HOP, SAMPLE_RATE, WINDOW_SAMPLES, DecodeRequest
from model.whisper import WhisperEncoder
from tests.model.growing import STEP, close, kept, one, plain, reusing, size, speech, updates


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


@pytest.mark.parametrize("order", [1, -1])
def test_there_is_no_more_room_for_a_window_whose_batch_holds_those_that_take_it(order):
    """What is taken out for a batch comes back: a window that will not be kept is not heard from its beginning."""
    encoder = reusing(room=2 * size(1500), dynamic=False)
    streams = [updates(6, first=2 * SAMPLE_RATE, seed=seed) for seed in range(3)]
    for stream in streams[:2]:
        one(encoder, stream[0])
    for step in range(1, 6):
        found = encoder.encode([stream[step] for stream in streams][::order])[::order]
        assert [window.computed for window in found] == [134, 134, 1500]
        close(found[2].audio, one(plain(dynamic=False), streams[2][step]).audio)


def test_new_windows_of_one_batch_take_no_more_than_there_is(monkeypatch):
    made = []
    of = AttentionMemory.of
    monkeypatch.setattr(AttentionMemory, "of", lambda *arguments: made.append(arguments[1]) or of(*arguments))
    encoder = reusing(room=2 * size(1500), dynamic=False)
    made.clear()
    found = encoder.encode([updates(1, first=2 * SAMPLE_RATE, seed=seed)[0] for seed in range(5)])
    assert made == [1500] * 4, "encoder and decoder of two windows"
    assert kept(encoder).bytes == 2 * size(1500)
    assert [window.known is None for window in found] == [False, False, True, True, True]


def test_a_full_window_is_not_kept_for_it_moves_on():
    """A recording that is decoded as fast as it goes has nothing but full ones, each of them once."""
    encoder = reusing()
    first = DecodeRequest("upload", 0, speech())
    found = one(encoder, first)
    assert found.known is None
    assert kept(encoder).bytes == 0
    close(found.audio, one(plain(), first).audio)
    ends = (WINDOW_SAMPLES - 2 * STEP, WINDOW_SAMPLES - STEP, WINDOW_SAMPLES)
    for index, end in enumerate(ends):
        found = one(encoder, DecodeRequest("live", 0, speech()[:end], earlier=ends[:index]))
        assert (kept(encoder).bytes > 0) == (end < WINDOW_SAMPLES)
    assert found.computed == HALO + STEP // (2 * HOP)


def test_windows_nobody_has_asked_about_for_long_make_room_for_others(monkeypatch):
    monkeypatch.setattr("model.decoding.reuse.STALE", 3)
    encoder = reusing(room=2 * size(128))
    gone, live, new = (updates(8, first=1600, step=1600, seed=seed) for seed in range(3))
    for stream in (gone, live):
        one(encoder, stream[0])
    kinds = []
    for step in range(1, 5):
        one(encoder, live[step])
        one(encoder, new[step])
        kinds.append(list(kept(encoder)._known))
    assert kinds == [["s0", "s1"], ["s1", "s2"], ["s1", "s2"], ["s1", "s2"]]
    close(one(encoder, new[5]).audio, one(reusing(), new[5]).audio)


def test_a_pass_that_fails_costs_other_windows_of_the_batch_nothing(monkeypatch):
    """One that no pass has touched is known as before, and one whose pass was done is known as it is then."""
    encoder = reusing()
    kept(encoder)._together = 200
    streams = [updates(4, first=(3 + seed) * SAMPLE_RATE, seed=seed) for seed in range(3)]
    for stream in streams:
        for request in stream[:2]:
            one(encoder, request)
    renew, calls = WhisperEncoder.renew, []

    def fails_second(self, spans):
        calls.append(spans)
        if len(calls) == 2:
            raise MemoryError
        renew(self, spans)

    with monkeypatch.context() as broken:
        broken.setattr(WhisperEncoder, "renew", fails_second)
        with pytest.raises(MemoryError):
            encoder.encode([stream[2] for stream in streams])
    assert {name: len(known.ends) for name, known in kept(encoder)._known.items()} == {"s0": 3, "s2": 2}
    for stream in streams:
        close(one(encoder, stream[2]).audio, one(reusing(), stream[2]).audio)


def test_features_are_forgotten_too():
    encoder = reusing()
    one(encoder, updates(1)[0])
    encoder.forget("s0")
    assert not encoder._features._streams


def test_passes_are_no_larger_than_what_the_machine_takes_well():
    assert kept(reusing())._together == CPU_POSITIONS


def test_memory_that_grows_takes_over_all_that_was_known():
    def memory(positions: int) -> WindowMemory:
        def parts(layers: int) -> tuple[Tensor, ...]:
            return tuple(torch.rand(3, positions, 5) for _ in range(layers))

        return WindowMemory(
            AttentionMemory(parts(2), parts(2)), AttentionMemory(parts(1), parts(1)), torch.rand(positions, 15)
        )

    old, new = memory(4), memory(7)
    new.copy_from(old)
    for mine, its in ((new.own, old.own), (new.cross, old.cross)):
        for one_part, other in zip((*mine.keys, *mine.values), (*its.keys, *its.values), strict=True):
            assert torch.equal(one_part[:, :4], other)
    assert torch.equal(new.output[:4], old.output)
    assert new.bytes == 4 * 7 * (3 * 5 * (4 + 2) + 15)


def test_an_eighth_of_the_memory_may_be_kept(monkeypatch):
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limits, least in (([], total), ([1 << 30, 1 << 40], 1 << 30), ([1 << 60], total)):
        monkeypatch.setattr("model.decoding.room.cgroup_limits", lambda limits=limits: limits)
        assert room_on(torch.device("cpu")) == least // 8


def test_limits_of_memory_are_those_of_the_control_group_and_of_all_above_it(tmp_path):
    own, group = tmp_path / "own", tmp_path / "cg" / "system.slice" / "streamer.service"
    group.mkdir(parents=True)
    own.write_text("1:name=systemd:/x\n0::/system.slice/streamer.service\n")
    (tmp_path / "memory.max").write_text("1")  # of nobody's group
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text("2147483648\n")
    assert cgroup_limits(tmp_path / "cg", own) == [2147483648]
    (group / "memory.max").write_text("1048576\n")
    assert sorted(cgroup_limits(tmp_path / "cg", own)) == [1048576, 2147483648]
    own.write_text("4:memory:/old\n")
    assert cgroup_limits(tmp_path / "cg", own) == []
    assert cgroup_limits(tmp_path / "cg", tmp_path / "missing") == []
