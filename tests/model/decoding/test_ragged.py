"""Rows of every kind in one batch: each is what it would be alone, whatever lies beside it and around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.decoding.rows import Decoded, DecodeRow
from model.types import Task
from tests.model.stepping import LOUD, STAMP, TOKENIZER, WAYS, LoudDecoder, audio, make, row

PROMPTS = [(), (1, 2, 3), tuple(range(10, 60))]
PREFIXES = [(), (STAMP, 5, 6), (STAMP + 3, 70, STAMP + 20, STAMP + 25, 8), (STAMP, 9, STAMP + 30)]
POSITIONS = [33, 64, 100]
DRAFTS = ["none", "right", "a wrong token", "a token too few", "a token too many", "shifted", "too long", "noise"]


@dataclass(frozen=True)
class Case:
    """One row and the audio it hears."""

    which: int
    positions: int
    language: str
    task: Task
    prompt: tuple[int, ...]
    prefix: tuple[int, ...]
    limit: int
    draft: str
    seed: int

    def row(self, draft: tuple[int, ...] = ()) -> DecodeRow:
        return row(self.language, self.task, self.prompt, self.limit, prefix=self.prefix, draft=draft, seed=self.seed)


cases = st.builds(
    Case,
    which=st.integers(0, 5),
    positions=st.sampled_from(POSITIONS),
    language=st.sampled_from(list(TOKENIZER.languages)),
    task=st.sampled_from(list(Task)),
    prompt=st.sampled_from(PROMPTS),
    prefix=st.sampled_from(PREFIXES),
    limit=st.integers(1, 40),
    draft=st.sampled_from(DRAFTS),
    seed=st.integers(0, 9),
)
decoders = cache(lambda way: make(WAYS[way]))
loud_decoders = cache(lambda way: make(WAYS[way], LoudDecoder))


@cache
def alone(case: Case, temperature: float = 0.0) -> Decoded:
    """One row by itself, its audio cut to length, without a draft, pass by pass."""
    heard = audio()[case.which : case.which + 1, : case.positions]
    return make(None).decode(heard, None, [case.row()], temperature)[0]


def guessed(case: Case) -> tuple[int, ...]:
    """A draft that is right, or wrong in one way."""
    tokens = alone(replace(case, draft="none")).tokens
    noise = torch.randint(TOKENIZER.eot, (60,), generator=torch.Generator().manual_seed(case.seed)).tolist()
    at = case.seed % max(len(tokens), 1)
    return tuple(
        {
            "none": [],
            "right": tokens,
            "a wrong token": [*tokens[:at], noise[0], *tokens[at + 1 :]],
            "a token too few": [*tokens[:at], *tokens[at + 1 :]],
            "a token too many": [*tokens[:at], noise[0], *tokens[at:]],
            "shifted": [min(token + 1, STAMP + 1500) if token >= STAMP else token for token in tokens],
            "too long": [*tokens, *noise],
            "noise": noise[:9],
        }[case.draft]
    )


def batch(some: list[Case]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The rows' audio side by side, with noise where one is shorter."""
    together = audio()[[case.which for case in some]].clone()
    lengths = [case.positions for case in some]
    for heard, length in zip(together, lengths, strict=True):
        heard[length:] = LOUD
    together = together[:, : max(lengths)]
    return together, None if len(set(lengths)) == 1 else torch.tensor(lengths)


def same(found: Decoded, expected: Decoded, positions: int) -> None:
    assert found.tokens == expected.tokens
    assert (found.ended, found.stuck) == (expected.ended, expected.stuck)
    assert found.log_probabilities == pytest.approx(expected.log_probabilities, abs=1e-4)
    assert found.no_speech == pytest.approx(expected.no_speech, abs=1e-5)
    assert found.attention.shape[1] == expected.attention.shape[1]
    torch.testing.assert_close(found.attention[..., :positions], expected.attention, atol=1e-4, rtol=1e-3)
    assert not found.attention[..., positions:].any()


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=6, deadline=None)
@given(some=st.lists(cases, min_size=1, max_size=6))
def test_a_row_is_in_any_batch_what_it_is_alone(way, some):
    together, lengths = batch(some)
    found = decoders(way).decode(together, lengths, [case.row(guessed(case)) for case in some])
    for out, case in zip(found, some, strict=True):
        same(out, alone(replace(case, draft="none")), case.positions)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=4, deadline=None)
@given(some=st.lists(cases, min_size=1, max_size=6))
def test_garbage_where_nobody_looks_changes_nothing(way, some):
    together, lengths = batch(some)
    rows = [case.row(guessed(case)) for case in some]
    clean = decoders(way).decode(together, lengths, rows)
    loud = loud_decoders(way).decode(together, lengths, rows)
    for with_garbage, without in zip(loud, clean, strict=True):
        assert with_garbage.tokens == without.tokens
        assert with_garbage.log_probabilities == without.log_probabilities
        assert torch.equal(with_garbage.attention, without.attention)


@pytest.mark.parametrize("way", WAYS)
def test_garbage_that_is_looked_at_changes_something(way):
    """The test above could fail."""
    case = Case(0, 100, "en", Task.TRANSCRIBE, (), (), 20, "none", 0)
    lengths = torch.tensor([64, 100])

    class Unmasked(LoudDecoder):
        def _open(self, *arguments):
            opened = super()._open(*arguments)
            opened.ragged = False
            return opened

    (expected, _), (found, _) = (
        make(WAYS[way], kind).decode(audio()[:2], lengths, [case.row()] * 2) for kind in (LoudDecoder, Unmasked)
    )
    assert found.tokens != expected.tokens


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=3, deadline=None)
@given(some=st.lists(cases, min_size=2, max_size=5), temperature=st.sampled_from([0.2, 1.0]))
def test_a_drawn_row_is_in_any_batch_what_it_is_alone(way, some, temperature):
    together, lengths = batch(some)
    found = decoders(way).decode(together, lengths, [case.row() for case in some], temperature)
    for out, case in zip(found, some, strict=True):
        assert out.tokens == alone(replace(case, draft="none"), temperature).tokens


@pytest.mark.parametrize("way", WAYS)
def test_rows_retire_one_by_one(way):
    """Each as soon as it is done, and the passes that remain are made with fewer rows."""
    limits = [3, 5, 8, 12, 17, 23]
    some = [Case(i, 100, "en", Task.TRANSCRIBE, (), (), limit, "none", 0) for i, limit in enumerate(limits)]
    decoder = make(WAYS[way])
    widths: list[int] = []
    extend = decoder._decoder.extend

    def counted(tokens, *arguments):
        widths.append(len(tokens))
        return extend(tokens, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder._decoder, "extend", counted)
        found = decoder.decode(audio(), None, [case.row() for case in some])
    for out, case in zip(found, some, strict=True):
        expected = alone(case)
        same(out, expected, 100)
        assert out.passes == expected.passes == len(expected.log_probabilities)
    assert widths[0] == 6
    assert widths[-1] == 1
    assert widths[1:] == sorted(widths[1:], reverse=True)
    assert len(set(widths[1:])) >= 3
