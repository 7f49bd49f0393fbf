"""Tokens to text, offsets and timestamps against the reference."""

import random

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from model.tokenizer import WhisperTokenizer
from tests.model.texts import COMMANDS, SENTENCES, unicode_texts
from tests.model.tokenizer_folders import write_vocabulary

START = 50364
OPTIONS = [
    {},
    {"skip_special_tokens": True},
    {"clean_up_tokenization_spaces": True},
    {"decode_with_timestamps": True},
    {"decode_with_timestamps": True, "skip_special_tokens": True},
    {"decode_with_timestamps": True, "time_precision": 0.04, "normalize": True},
    {"output_offsets": True},
    {"output_offsets": True, "skip_special_tokens": True, "time_precision": 0.01},
    {"output_offsets": True, "decode_with_timestamps": True},
    {"normalize": True},
    {"basic_normalize": True},
    {"basic_normalize": True, "normalize": True},
    {"basic_normalize": True, "remove_diacritics": True, "skip_special_tokens": True},
]


@pytest.fixture
def full(demo_tokenizers):
    return demo_tokenizers


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = write_vocabulary(tmp_path_factory.mktemp("decoding"), layout="unified")
    return WhisperTokenizer.from_pretrained(folder), transformers.WhisperTokenizer.from_pretrained(folder)


def test_every_text_comes_back(full):
    ours, _ = full
    for text in [*SENTENCES, *unicode_texts(600, seed=4)]:
        assert ours.decode(ours.encode(text), skip_special_tokens=True) == text


def test_any_tokens_give_the_references_text(full):
    ours, reference = full
    rng = random.Random(8)
    for _ in range(400):
        # Mostly broken UTF-8: tokens are cut from their characters.
        tokens = [rng.randrange(rng.choice([256, 5000, 50257, 50364, 51865])) for _ in range(rng.randint(0, 14))]
        for options in rng.sample(OPTIONS, 3):
            assert ours.decode(tokens, **options) == reference.decode(tokens, **options), (tokens, options)


def transcript(rng):
    """Windows of segments as Whisper writes them, some heard to the end, with prompt, prefix and text."""
    tokens = [50361, 400, 500, 50258, 50259, 50359] if rng.random() < 0.5 else [50258, 50259, 50359]
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, 20)
        for _ in range(rng.randint(1, 4)):
            end = at + rng.randint(1, 300)
            tokens += [START + at, *(rng.randrange(50257) for _ in range(rng.randint(0, 4))), START + end]
            at = end
        if rng.random() < 0.4:
            tokens += [START + at, *(rng.randrange(50257) for _ in range(2))]
    return [*tokens, 50257]


def test_transcripts_of_many_windows_give_the_references_offsets(full):
    ours, reference = full
    rng = random.Random(2)
    for _ in range(60):
        tokens = transcript(rng)
        for options in OPTIONS:
            assert ours.decode(tokens, **options) == reference.decode(tokens, **options), (tokens, options)


@settings(max_examples=150)
@given(st.lists(st.one_of(st.integers(250, 320), st.integers(407, 430)), max_size=14), st.sampled_from(OPTIONS))
def test_timestamps_in_any_order_give_the_references_offsets(small, tokens, options):
    ours, reference = small

    assert ours.decode(tokens, **options) == reference.decode(tokens, **options)


def test_normalized_text_equals_the_reference(small):
    ours, reference = small
    for text in [*SENTENCES, *COMMANDS, "Mr. Grey's colour, twenty-one £5 <|1.00|>"]:
        tokens = reference.encode(text)
        for options in ({"normalize": True}, {"normalize": True, "skip_special_tokens": True}):
            assert ours.decode(tokens, **options) == reference.decode(tokens, **options)
        assert ours.normalize(text) == reference.normalize(text)
        assert ours.basic_normalize(text) == reference.basic_normalize(text)
        assert ours.basic_normalize(text, remove_diacritics=True) == reference.basic_normalize(text, True)


@pytest.mark.parametrize("wrap", [list, np.array, torch.tensor, lambda rows: [torch.tensor(row) for row in rows]])
def test_batches_of_any_kind_give_the_references_texts(full, wrap):
    ours, reference = full
    rows = [[50361, 400, 50258, 700, 50257], [50258, 50259, 1770, 50364, 50257]]

    for options in ({}, {"skip_special_tokens": True}, {"basic_normalize": True}):
        expected = reference.batch_decode(rows, **options)
        assert ours.batch_decode(wrap(rows), **options) == expected
        assert ours.decode(wrap(rows), **options) == expected
    assert ours.batch_decode(wrap(rows)[1]) == reference.batch_decode(rows[1])


def test_of_a_prompt_without_a_transcript_nothing_is_left(full):
    ours, reference = full
    for tokens in ([50361, 400, 500], [50361]):
        assert ours.decode(tokens, skip_special_tokens=True) == reference.decode(tokens, skip_special_tokens=True) == ""


def test_a_batch_has_timestamps_and_offsets_too(full):
    ours, reference = full
    rows = [[50364, 1770, 50414, 50414, 700, 50464], [50364, 400, 50380]]

    for options in ({"decode_with_timestamps": True}, {"output_offsets": True}):
        assert ours.batch_decode(rows, **options) == [reference.decode(row, **options) for row in rows]


def test_a_single_token_may_be_given_in_any_kind(full):
    ours, reference = full

    assert reference.decode(1770) == ours.decode(1770) == ours.decode(torch.tensor(1770)) == ours.decode(np.int64(1770))


def test_spaces_are_cleaned_up_as_the_tokenizer_is_set(tmp_path):
    folder = write_vocabulary(tmp_path, layout="unified", clean_up_tokenization_spaces=True)
    ours, reference = WhisperTokenizer.from_pretrained(folder), transformers.WhisperTokenizer.from_pretrained(folder)
    tokens = reference.encode("he 's , it ' s not n't . they 've !", add_special_tokens=False)

    assert ours.decode(tokens) == reference.decode(tokens)
    assert ours.decode(tokens, clean_up_tokenization_spaces=False) == reference.decode(
        tokens, clean_up_tokenization_spaces=False
    )
