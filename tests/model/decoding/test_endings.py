from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from model.card import sure_end
from model.checkpoint import load_for_recognition
from model.config import ModelError
from model.decoding.encode import Encoded
from model.decoding.endings import MOST, Endings
from model.decoding.guards import Guards
from model.decoding.rows import Decoded, DecodeRow
from model.recognizer import WhisperRecognizer
from tests.model.asking import request
from tests.model.decoding.test_decode import SOT, STAMP, TOKENIZER, audio, decoder, row
from tests.model.small_whisper import small_checkpoint

ANY_WORD = 1e-9
HEADS = ((0, 1), (1, 0))
DOUBT = Guards(sure_end=1.0, sure_words=ANY_WORD)
"""Every end is in doubt, and every word is believed."""


def sound(place: int) -> torch.Tensor:
    """Encoder output of a row; each has another length."""
    return audio()[place, : 100 - 8 * place]


def encoded(rows: int = 6) -> Encoded:
    return Encoded.of([sound(place) for place in range(rows)])


def heard(rows: list[DecodeRow], guards: Guards, final: Sequence[bool]) -> tuple[list[Decoded], list[Decoded]]:
    """What rows become, and what they become once their ends are settled."""
    one = encoded(len(rows))
    found = decoder(HEADS).decode(one.audio, one.lengths, rows)
    endings = Endings(decoder(HEADS), guards, TOKENIZER.eot)
    return found, endings.settle(one, [None] * len(rows), rows, found, final)


def ending_rows() -> list[DecodeRow]:
    """Rows that end by themselves, or most of them; three begin with a closed or an open segment."""
    word = TOKENIZER.encode(" ba")
    prefixes = [(), (), (), (STAMP, *word, STAMP + 10), (STAMP, *word), (STAMP, *word, STAMP + 20)]
    return [row(limit=120, prefix=prefix) for prefix in prefixes]


def test_a_text_whose_end_is_in_doubt_goes_on_where_what_comes_is_sure():
    rows = ending_rows()
    found, settled = heard(rows, DOUBT, [True] * 6)
    results = list(zip(rows, found, settled, strict=True))
    longer = [(start, before, after) for start, before, after in results if len(after.tokens) > len(before.tokens)]
    assert {bool(start.prefix) for start, *_ in longer} == {True, False}
    for start, before, after in longer:
        assert after.tokens[: len(before.tokens)] == before.tokens
        assert any(token < TOKENIZER.eot for token in after.tokens[len(before.tokens) :])
        assert after.ended
        assert len(after.log_probabilities) == len(after.tokens) + 1
        assert after.log_probabilities[: len(before.tokens)] == before.log_probabilities[:-1]
        assert after.passes > before.passes
        assert after.no_speech == before.no_speech
        assert after.attention is not None
        assert after.attention.shape[1] == len(start.prefix) + len(after.tokens) + 1


def test_what_comes_is_the_likeliest_that_is_no_end():
    rows = ending_rows()
    found, settled = heard(rows, DOUBT, [True] * 6)
    longer = [i for i, (a, b) in enumerate(zip(found, settled, strict=True)) if len(b.tokens) > len(a.tokens)]
    assert len(longer) > 2
    network, rules = small_checkpoint().model, decoder(HEADS)._rules
    for place in longer:
        said = [*rows[place].prefix, *found[place].tokens]
        with torch.inference_mode():
            logits = network(
                encoder_outputs=(sound(place)[None],), decoder_input_ids=torch.tensor([[*SOT, *said]])
            ).logits[:, -1]
        (limit,) = rules.limits(said, len(said))
        ended, _ = rules.choose(logits.clone(), [limit])
        forced, _ = rules.choose(logits.clone(), [limit._replace(end=False)])
        assert int(ended) == TOKENIZER.eot
        assert settled[place].tokens[len(found[place].tokens)] == int(forced)


def test_of_a_batch_those_texts_are_asked_about_that_are_final():
    rows = ending_rows()
    _, everyone = heard(rows, DOUBT, [True] * 6)
    final = [False, True, True, False, True, False]
    found, settled = heard(rows, DOUBT, final)
    for before, after, asked, expected in zip(found, settled, final, everyone, strict=True):
        assert after.tokens == (expected.tokens if asked else before.tokens)


@pytest.mark.parametrize(
    ("guards", "final"),
    [
        (Guards(sure_end=1.0, sure_words=1.0), True),  # no word is as sure as that
        (Guards(sure_end=1e-6, sure_words=ANY_WORD), True),  # every end is sure
        (DOUBT, False),  # more audio comes
    ],
)
def test_a_text_stays_as_it_is_where_its_end_is_sure_or_more_is_not_or_it_is_not_final(guards, final):
    found, settled = heard(ending_rows(), guards, [final] * 6)
    assert [one.tokens for one in settled] == [one.tokens for one in found]
    assert [one.log_probabilities for one in settled] == [one.log_probabilities for one in found]
    for before, after in zip(found, settled, strict=True):
        assert torch.equal(before.attention, after.attention)
        asked = before.ended and final and guards.sure_end == 1.0
        assert (after.passes > before.passes) == asked


def test_an_end_without_a_word_before_it_is_not_doubted():
    ended = Decoded(tokens=[STAMP], log_probabilities=[-0.1, -2.0], ended=True)
    endings = Endings(decoder(), DOUBT, TOKENIZER.eot)
    one = encoded(1)
    assert endings.settle(one, [None], [row()], [ended], [True]) == [ended]
    forced = row(prefix=(STAMP, *TOKENIZER.encode(" ba")))
    (asked,) = endings.settle(one, [None], [forced], [ended], [True])
    assert asked.passes > 0


class Scripted:
    """A decoder that answers what it was told to."""

    def __init__(self, answer: Decoded) -> None:
        self.answer = answer
        self.rows: list[DecodeRow] = []

    def decode(self, audio, lengths, rows, temperature=0.0, known=()):
        del audio, lengths, temperature, known
        self.rows += rows
        return [self.answer] * len(rows)


WORD = TOKENIZER.encode(" ba")[0]
SAID = [STAMP, WORD, STAMP + 20]


@pytest.mark.parametrize(
    ("more", "probabilities", "ended", "taken"),
    [
        ([STAMP + 30, WORD, STAMP + 40], [-3.0, -0.05, -3.0, -0.05], True, True),
        ([STAMP + 30, WORD, STAMP + 40], [-3.0, -0.2, -3.0, -0.05], True, False),  # a guess
        ([STAMP + 30, WORD, STAMP + 40], [-3.0, -0.05, -3.0, -0.2], True, False),  # its own end is in doubt
        ([STAMP + 30, WORD, WORD], [-3.0, -0.05, -0.05], False, False),  # it goes on and on
        ([STAMP + 30, STAMP + 40], [-0.05, -0.05, -0.05], True, False),  # no word
    ],
)
def test_more_is_taken_if_its_words_and_its_end_are_sure(more, probabilities, ended, taken):
    decoder = Scripted(Decoded(more, probabilities, ended, passes=4))
    found = Decoded(list(SAID), [-0.1, -0.1, -0.1, -0.01], ended=True, passes=2)
    guards = Guards(sure_end=0.995, sure_words=0.9)
    asked = row(draft=(WORD, WORD), limit=100)
    (settled,) = Endings(decoder, guards, TOKENIZER.eot).settle(encoded(1), [None], [asked], [found], [True])
    assert settled.tokens == (SAID + more if taken else SAID)
    assert settled.passes == 6
    (again,) = decoder.rows
    assert (again.prefix, again.draft, again.limit, again.endless) == (tuple(SAID), (), MOST, True)


def test_a_row_settles_alone_as_it_does_among_others():
    rows = ending_rows()
    _, together = heard(rows, DOUBT, [True] * 6)
    for place, expected in enumerate(together):
        one = Encoded.of([sound(place)])
        found = decoder(HEADS).decode(one.audio, one.lengths, rows[place : place + 1])
        endings = Endings(decoder(HEADS), DOUBT, TOKENIZER.eot)
        (alone,) = endings.settle(one, [None], rows[place : place + 1], found, [True])
        assert alone.tokens == expected.tokens


def test_a_recognizer_asks_about_the_ends_of_final_texts_only():
    # With this much less for timestamps they end soon.
    trusting = {"no_speech": 1.1, "log_probability": -1e9, "compression": 1e9, "loop_pace": 1e9}
    plain = WhisperRecognizer(small_checkpoint(-2), guards=Guards(**trusting))
    doubting = WhisperRecognizer(small_checkpoint(-2), guards=Guards(**trusting, sure_end=1.0, sure_words=ANY_WORD))
    asked = [request(seconds, seed=seed, final=True) for seconds in (0.5, 1.0, 2.0) for seed in range(8)]
    before, after = plain.transcribe(asked), doubting.transcribe(asked)
    for short, long in zip(before, after, strict=True):
        assert [w.text for w in long.words][: len(short.words)] == [w.text for w in short.words]
        assert all(first.end <= second.start for first, second in pairwise(long.words))
    assert sum(len(one.words) for one in after) > sum(len(one.words) for one in before)
    partial = [replace(one, final=False) for one in asked]
    same = zip(plain.transcribe(partial), doubting.transcribe(partial), strict=True)
    assert all(a.words == b.words and a.statistics.passes == b.statistics.passes for a, b in same)


@pytest.mark.parametrize("said", [-0.1, 1.5, "high", None, True])
def test_a_card_s_sure_end_is_a_probability(said):
    checkpoint = small_checkpoint()
    checkpoint = replace(checkpoint, config=checkpoint.config.__class__(streamer={"sure_end": said}))
    with pytest.raises(ModelError, match=r'"sure_end" in config\.json must be a number in 0\.\.1, got'):
        sure_end(checkpoint)


def test_without_other_guards_a_recognizer_doubts_ends_as_its_model_s_card_says():
    asked = [request(seconds, seed=seed, final=True) for seconds in (0.5, 1.0, 2.0) for seed in range(8)]
    checkpoint = small_checkpoint(-2)
    config = checkpoint.config.__class__.from_dict(checkpoint.config.to_dict() | {"streamer": {"sure_end": 1.0}})
    plain, doubting = WhisperRecognizer(checkpoint), WhisperRecognizer(replace(checkpoint, config=config))
    passes = [[one.statistics.passes for one in each.transcribe(asked)] for each in (plain, doubting)]
    assert sum(passes[1]) > sum(passes[0])


def test_the_demo_model_s_card_says_how_sure_it_is_of_ends():
    assert 0.99 < sure_end(load_for_recognition("demo", "cpu", "float32", 0, offline=True)) < 1
