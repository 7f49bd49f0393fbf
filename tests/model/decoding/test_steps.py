"""Decoding by steps that need no host: what the host sees of them, and when it steps in."""

import logging
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from model.decoding.arena import BATCHES, Dimensions
from model.decoding.graphs import Stepping
from model.decoding.rows import Decoded, Row
from model.decoding.step import SPAN
from model.decoding.step_counters import Reason
from model.decoding.tail import run_stretch
from model.layers import decoder as decoder_module
from tests.model.small_whisper import small_checkpoint
from tests.model.stepping import HEADS, STAMP, TOKENIZER, WAYS, audio, make, record, row

STEPPED = {name: stepping for name, stepping in WAYS.items() if stepping}


def plain(rows, rows_audio=None, **options):
    return make(None, **options).decode(audio() if rows_audio is None else rows_audio, None, rows)


@cache
def six_long() -> list[Decoded]:
    """Each of six recordings with room for 90 tokens, pass by pass."""
    return plain([row(limit=90)] * 6)


@cache
def two_long() -> tuple[int, int]:
    """Which of the six say most."""
    first, second = sorted(range(6), key=lambda which: len(six_long()[which].tokens))[-2:]
    return first, second


@pytest.mark.parametrize("way", STEPPED)
def test_attention_is_kept_over_more_steps_than_are_collected_at_once(way):
    found, expected = make(STEPPED[way]).decode(audio(), None, [row(limit=90)] * 6), six_long()
    assert max(len(out.tokens) for out in expected) > 2 * SPAN
    for out, right in zip(found, expected, strict=True):
        assert out.tokens == right.tokens
        torch.testing.assert_close(out.attention, right.attention, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("way", STEPPED)
def test_a_loop_is_noticed_at_the_same_token(way):
    """The device goes on for a step or two, but nobody reads them."""
    word = TOKENIZER.encode("q")[0]
    only = {"suppress": tuple(token for token in range(STAMP) if token != word)}
    rows = [row(longest_run=8), row(longest_run=20), row()]
    same = audio()[[0, 0, 0]]
    found, expected = make(STEPPED[way], **only).decode(same, None, rows), plain(rows, same, **only)
    assert [out.stuck for out in found] == [True, True, False]
    assert [(out.tokens, out.passes) for out in found] == [(out.tokens, out.passes) for out in expected]


@pytest.mark.parametrize("way", STEPPED)
def test_rows_may_fill_the_decoder_to_its_last_position(way):
    prompt = tuple(range(1, 390))
    rows = [row(prompt=prompt, limit=448 - 390 - 3)] * 3
    found, expected = make(STEPPED[way]).decode(audio(), None, [*rows, *rows]), plain([*rows, *rows])
    assert any(not out.ended for out in expected)
    assert [out.tokens for out in found] == [out.tokens for out in expected]


@pytest.mark.parametrize("way", STEPPED)
def test_a_row_that_is_done_stays_where_it_is_while_others_go_on(way):
    """Else it would leave its cells."""
    heard = audio()[[0, *two_long()]]
    rows = [row(prompt=tuple(range(1, 111)), limit=2), row(limit=90), row(limit=90)]
    found, expected = make(STEPPED[way]).decode(heard, None, rows), plain(rows, heard)
    assert [out.tokens for out in found] == [out.tokens for out in expected]
    assert min(len(out.tokens) for out in found[1:]) > 20


@pytest.mark.parametrize("way", STEPPED)
def test_a_draft_that_turns_up_between_steps_is_verified_in_one_pass(way, monkeypatch):
    """Steps launched beyond that moment are forgotten."""
    (right,) = plain([row()], audio()[:1])
    receive = Row.receive

    def hopeful(self, choices, eot):
        kept = receive(self, choices, eot)
        if len(self.out.tokens) == 5:
            self.draft = right.tokens[5:]
        return kept

    monkeypatch.setattr(Row, "receive", hopeful)
    (out,) = make(STEPPED[way]).decode(audio()[:1], None, [row()])
    assert out.tokens == right.tokens
    assert out.passes == 5 + 1 < right.passes
    assert out.log_probabilities == pytest.approx(right.log_probabilities, abs=1e-4)
    torch.testing.assert_close(out.attention, right.attention, atol=1e-4, rtol=1e-3)


class NoQuestions(TorchDispatchMode):
    """Refuses what would make the host wait for a GPU, or what would look different from call to call."""

    ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "equal", "unique", "is_nonzero")

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        assert not str(function).startswith(tuple(f"aten.{name}" for name in self.ASKING)), function
        result = function(*arguments, **(options or {}))
        if isinstance(result, torch.Tensor):
            result_shapes.append((str(function), tuple(result.shape)))
        return result


result_shapes: list[tuple[str, tuple[int, ...]]] = []


@pytest.mark.parametrize("ragged", [False, True])
def test_a_step_asks_the_device_nothing_and_is_the_same_every_time(ragged, monkeypatch):
    """Else it could not be recorded. In bfloat16, for which a CPU does what a GPU does."""
    monkeypatch.setattr(decoder_module, "host_sight", decoder_module.device_sight)
    decoder = make(Stepping(record), dtype=torch.bfloat16)
    rows = [row(limit=9), row(prompt=(1, 2, 3), limit=20)]
    with torch.inference_mode():
        states = [Row(one, 0.0, torch.device("cpu")) for one in rows]
        lengths = torch.tensor([64, 100]) if ragged else None
        cache = decoder._open(audio()[:2].bfloat16(), lengths, 60)
        decoder._run(states, cache, 0.0)
        step = decoder.steps.step(cache)
        step.load(states)
        launches = []
        for _ in range(12):
            result_shapes.clear()
            with NoQuestions():
                step()
            launches.append(tuple(result_shapes))
    assert len(launches[0]) > 50
    assert len(set(launches)) == 1


class Script:
    """A step whose tokens are known, and the order in which they were launched and read."""

    def __init__(self, step, log):
        self._step, self._log = step, log
        self.place, self.load = step.place, step.load

    def __call__(self):
        self._log.append("launch")
        self._step()


@pytest.mark.parametrize(("lookahead", "order"), [(0, "LRLRLR"), (1, "LLRLRR"), (2, "LLLRRR")])
def test_the_host_reads_so_many_steps_behind(lookahead, order, monkeypatch):
    decoder = make(Stepping(lookahead=lookahead))
    state = Row(row(limit=4), 0.0, torch.device("cpu"))
    cache = decoder._open(audio(1), None, 60)
    with torch.inference_mode():
        decoder._run([state], cache, 0.0)
        log = []
        receive = Row.receive
        monkeypatch.setattr(Row, "receive", lambda *arguments: (log.append("read"), receive(*arguments))[1])
        step = Script(decoder._steps.step(cache), log)
        launched, read = run_stretch(step, [state], TOKENIZER.eot, leave=lambda _: False, lookahead=lookahead)
    assert "".join(word[0].upper() for word in log)[: len(order)] == order
    assert read == 3
    assert launched - read <= lookahead
    assert state.done


def test_a_shape_is_recorded_once_and_replayed_from_then_on():
    decoder = make(Stepping(record))
    for _ in range(3):
        decoder.decode(audio()[:2], None, [row(limit=8)] * 2)
    counted = decoder.counters.values()
    assert counted["captures"] == 1
    assert counted["replays"] == 3 * 7
    assert not any(count for name, count in counted.items() if name.startswith("eager"))


def test_the_graph_unused_for_longest_gives_way():
    captured = []
    decoder = make(Stepping(lambda step: captured.append(step.place.batch) or record(step), most=2))
    for rows in (4, 2, 1, 4, 2, 2):
        decoder.decode(audio()[:rows], None, [row(limit=5)] * rows)
    assert captured == [4, 2, 1, 4, 2]
    assert decoder.counters.evictions == 3


def test_graphs_are_made_anew_when_their_memory_moves():
    captured = []
    decoder = make(Stepping(lambda step: captured.append(step.place.batch) or record(step)))
    for rows in (1, 2, 1, 2):
        found = decoder.decode(audio()[:rows], None, [row()] * rows)
        assert [out.tokens for out in found] == [out.tokens for out in plain([row()] * rows, audio()[:rows])]
    assert captured == [1, 2, 1]
    assert decoder.counters.evictions == 1


def test_what_is_captured_beforehand_serves_batches_of_all_sizes():
    decoder = make(Stepping(record))
    decoder.warm_up(100)
    captured = decoder.counters.captures
    assert captured == 6 * 3
    for rows in (1, 3, 9, 32):
        decoder.decode(audio()[:1].expand(rows, -1, -1), None, [row(limit=4 * rows)] * rows)
    assert decoder.counters.captures == captured
    assert decoder.counters.evictions == 0


def broken(step):
    raise RuntimeError("operation not permitted when stream is capturing")


@pytest.mark.parametrize(
    ("stepping", "rows", "temperature", "reason"),
    [
        (Stepping(), 2, 0.0, Reason.DEVICE),
        (Stepping(record), BATCHES[-1] + 1, 0.0, Reason.BATCH),
        (Stepping(record, budget=1000), 2, 0.0, Reason.MEMORY),
        (Stepping(broken), 2, 0.0, Reason.CAPTURE),
        (Stepping(record), 2, 0.5, Reason.SAMPLING),
    ],
)
def test_what_no_graph_can_do_is_done_without_and_counted(stepping, rows, temperature, reason, caplog):
    decoder = make(stepping)
    heard = audio()[:1].expand(rows, -1, -1)
    asked = [row(limit=6)] * rows
    with caplog.at_level(logging.CRITICAL):
        found = decoder.decode(heard, None, asked, temperature)
    expected = make(None).decode(heard, None, asked, temperature)
    assert [out.tokens for out in found] == [out.tokens for out in expected]
    assert decoder.counters.eager[reason] == 5
    assert decoder.counters.eager.total() == 5
    assert decoder.counters.replays == 0


def test_a_capture_that_fails_is_reported_and_not_tried_again(caplog):
    calls = []
    decoder = make(Stepping(lambda step: calls.append(step) or broken(step)))
    for rows in (1, 2):
        decoder.decode(audio()[:rows], None, [row(limit=5)] * rows)
    assert len(calls) == 1
    assert "cannot be captured" in caplog.text


def test_a_lack_of_memory_at_a_capture_is_told_and_costs_no_later_one_its_graph():
    calls = []

    def short_once(step):
        calls.append(step)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return record(step)

    decoder = make(Stepping(short_once))
    with pytest.raises(torch.OutOfMemoryError):
        decoder.decode(audio()[:2], None, [row(limit=5)] * 2)
    decoder.decode(audio()[:2], None, [row(limit=5)] * 2)

    assert decoder.counters.captures > 0
    assert decoder.counters.eager.total() == 0


@pytest.mark.parametrize("lacking", range(1, 6))
def test_a_lack_of_memory_as_the_arena_grows_costs_later_batches_nothing(monkeypatch, lacking):
    decoder = make(Stepping(record))
    decoder.decode(audio()[:1], None, [row(limit=5)])
    asked = [row(limit=5)] * 6
    with monkeypatch.context() as patch:
        patch.setattr("model.decoding.arena.torch", Torch(lacking))
        with pytest.raises(torch.OutOfMemoryError):
            decoder.decode(audio(), None, asked)
    found = decoder.decode(audio(), None, asked)

    assert [out.tokens for out in found] == [out.tokens for out in plain(asked)]
    assert decoder.counters.eager.total() == 0


def test_graphs_are_prepared_for_fewer_rows_where_memory_does_not_suffice():
    def short(step):
        if step.place.state.shape[1] > 4:
            raise torch.OutOfMemoryError("out of memory")
        return record(step)

    decoder = make(Stepping(short))
    decoder.warm_up(100)

    assert {shape.batch for shape in decoder.steps._graphs} == {1, 2, 4}


class Torch:
    """Torch, for which there is no memory at one call of `zeros`."""

    def __init__(self, lacking):
        self._left = lacking

    def __getattr__(self, name):
        return getattr(torch, name)

    def zeros(self, *args, **options):
        self._left -= 1
        if not self._left:
            raise torch.OutOfMemoryError("out of memory")
        return torch.zeros(*args, **options)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e4])
def test_nothing_of_an_earlier_batch_is_seen(value):
    """Not even what is no number, which a mask would not hide."""
    decoder = make(Stepping(record, lookahead=1))
    lengths = torch.tensor([100, 40, 64])
    rows = [row(), row(prompt=(1, 2, 3)), row(limit=9)]
    before = decoder.decode(audio()[:3], lengths, rows)
    for memory in (*decoder._steps._arena._audio, *decoder._steps._arena._text, decoder._steps._arena._attention):
        with torch.inference_mode():
            memory.fill_(value)
    after = decoder.decode(audio()[:3], lengths, rows)
    assert decoder.counters.captures == 3
    for out, right in zip(after, before, strict=True):
        assert out.tokens == right.tokens
        assert out.log_probabilities == right.log_probabilities
        assert torch.equal(out.attention, right.attention)


def test_shapes_are_few():
    """Each costs a capture and memory."""
    sizes = Dimensions(4, 20, 64, 1500, 448, 6, torch.float16, torch.device("cpu"))
    shapes = {
        sizes.shape(rows, positions, cells, ragged=False)
        for rows in range(1, 129)
        for positions in range(1, 1501, 101)
        for cells in range(1, 449, 31)
    }
    assert {shape.batch for shape in shapes} == set(BATCHES)
    assert {shape.positions for shape in shapes} == {256, 512, 768, 1024, 1280, 1500}
    assert {shape.cells for shape in shapes} == {128, 256, 448}
    assert sizes.shape(5, 1500, 100, ragged=False) == (8, 1500, 128, False), "all positions real: no mask"
    assert sizes.shape(5, 1472, 100, ragged=False).ragged
    assert replace(sizes, positions=100).shape(1, 30, 10, ragged=False).positions == 100
    # 64 rows of large-v3-turbo over 30 s: 2 x 4 layers x 1280 x (1500 + 448) numbers of 2 bytes each.
    deaf = replace(sizes, alignment_heads=0)
    assert deaf.bytes(deaf.sizes(deaf.shape(64, 1500, 448, ragged=False))) == 64 * 39_895_040


@pytest.mark.parametrize("rows", [1, 4, 30])
def test_little_memory_serves_smaller_batches(rows):
    """Graphs are prepared for what fits, and the arena never takes more than it may."""
    sizes = Dimensions.of(small_checkpoint().model.model.decoder, len(HEADS))
    budget = sizes.bytes(sizes.sizes(sizes.shape(4, 100, 448, ragged=False)))
    decoder = make(Stepping(record, budget=budget))
    decoder.warm_up(100)
    assert decoder.counters.captures > 6
    asked = [row(limit=6)] * rows
    heard = audio()[:1].expand(rows, -1, -1)
    found, expected = decoder.decode(heard, None, asked), plain(asked, heard)
    assert [out.tokens for out in found] == [out.tokens for out in expected]
    assert bool(decoder.counters.eager[Reason.MEMORY]) == (rows == 30)
    arena = decoder.steps._arena
    held = [*arena._audio, *arena._text, arena._attention]
    assert sum(memory.numel() * memory.element_size() for memory in held) <= budget
