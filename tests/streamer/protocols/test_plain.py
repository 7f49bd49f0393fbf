"""Words without capitals and punctuation are still the same words."""

import pytest

from streamer.protocols.plain import bare, plain


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("Good,", "good"), ("(yes)", "yes"), ("I,", "i"), ("3.14.", "3.14"), ("it's", "it's"), ("-", "-"), ("", ""),
        ("हिंदी।", "हिंदी"), ("বাংলা", "বাংলা"), ("தமிழ்!", "தமிழ்"), ("ภาษาที่", "ภาษาที่"), ("cafe\u0301.", "cafe\u0301"),
    ],
)  # fmt: skip
def test_what_is_around_a_word_goes_and_its_own_marks_stay(word, told):
    assert bare(word) == told


def test_a_text_keeps_its_words_apart_and_together_as_they_were():
    assert plain(" Pi is 3.14, at 10:30.") == "pi is 3.14 at 10:30"
    assert plain("你好世界。") == "你好世界"
