"""The text normalizers against the reference's, byte by byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.whisper import english_normalizer as reference

from model.text.normalizers import BasicTextNormalizer, EnglishTextNormalizer, default_english
from tests.model.texts import COMMANDS, NUMBERS, SENTENCES, WORDS, normalizer_texts, unicode_texts
from tests.model.tokenizer_folders import SPELLINGS

TEXTS = [*SENTENCES, *COMMANDS, *normalizer_texts(3000), *unicode_texts(300, seed=6)]
english = EnglishTextNormalizer(SPELLINGS)
reference_english = reference.EnglishTextNormalizer(SPELLINGS)


def test_english_equals_the_reference():
    for text in TEXTS:
        assert english(text) == reference_english(text), text


@pytest.mark.parametrize("diacritics", [False, True])
@pytest.mark.parametrize("letters", [False, True])
def test_basic_equals_the_reference(diacritics, letters):
    ours = BasicTextNormalizer(diacritics, letters)
    expected = reference.BasicTextNormalizer(diacritics, letters)
    for text in TEXTS[::2]:
        assert ours(text) == expected(text), text


@settings(max_examples=200)
@given(st.lists(st.sampled_from([*NUMBERS, *WORDS]), max_size=9))
def test_any_numbers_and_words_in_a_row_equal_the_reference(words):
    text = " ".join(words)

    assert english(text) == reference_english(text)


@settings(max_examples=200)
@given(st.text(max_size=30))
def test_any_text_equals_the_reference(text):
    assert english(text) == reference_english(text)
    assert BasicTextNormalizer(True)(text) == reference.BasicTextNormalizer(True)(text)


def test_spellings_are_those_given_or_openais():
    assert EnglishTextNormalizer({"lorry": "truck"})("Lorry, colour") == "truck colour"
    assert default_english()("Lorry, colour, organised") == "lorry color organized"
    assert EnglishTextNormalizer({})("colour") == "colour"
