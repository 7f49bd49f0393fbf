"""Languages by token, code and name."""

import pytest
from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from model.generation.language import language_id, named_languages

TOKENS = {f"<|{code}|>": 100 + index for index, code in enumerate(LANGUAGES)}


@pytest.mark.parametrize(("name", "code"), TO_LANGUAGE_CODE.items())
def test_names_codes_and_tokens_lead_to_the_token(name, code):
    expected = TOKENS[f"<|{code}|>"]

    assert {language_id(each, TOKENS) for each in (name, name.title(), code, code.upper(), f"<|{code}|>")} == {expected}


def test_one_name_is_for_all_recordings():
    assert named_languages("German", TOKENS, 3) == [TOKENS["<|de|>"]] * 3
    assert named_languages(("de", "<|en|>"), TOKENS, 2) == [TOKENS["<|de|>"], TOKENS["<|en|>"]]


@pytest.mark.parametrize(("wanted", "offered"), [("xx", "haw"), ("elvish", "castilian")])
def test_what_is_none_is_told_what_there_is(wanted, offered):
    with pytest.raises(ValueError, match=rf"{wanted}.*{offered}"):
        language_id(wanted, TOKENS)
