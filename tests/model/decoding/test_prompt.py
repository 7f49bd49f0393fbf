from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.decoding.prompt import LEAST_NEW, PromptBuilder, repetition_limit, token_limit
from model.types import SAMPLE_RATE, Segment, Task
from tests.model.asking import OPEN, STAMP, TOKENIZER, request, segment, word

BA, DO = TOKENIZER.encode(" ba"), TOKENIZER.encode(" do")


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 600),
    st.integers(0, 300),
    st.integers(0, 380),
    st.sampled_from([0.1, 5.0, 30.0]),
    st.integers(0, 300),
)
def test_everything_fits_the_decoder(prompt, context, prefix, seconds, draft):
    asked = replace(
        request(0.1),
        audio=np.zeros(int(seconds * SAMPLE_RATE), dtype=np.float32),
        prompt=BA * prompt,
        context="do " * context,
        prefix=committed(prefix),
        draft=committed(draft),
    )
    row = PromptBuilder(TOKENIZER).row(asked, "en")
    assert len(row.head) + len(row.prefix) + row.limit <= 448
    assert 1 <= row.limit <= token_limit(asked)
    unprompted = PromptBuilder(TOKENIZER).row(asked, "en", prompted=False)
    assert row.limit >= min(unprompted.limit, LEAST_NEW), "a prompt leaves room for what is said now"
    assert row.head[row.sot :] == TOKENIZER.sot_sequence("en")
    assert row.sot <= 224
    if row.sot:
        assert row.head[0] == TOKENIZER.startofprev


def test_the_oldest_words_of_a_long_prompt_go_first_and_go_whole():
    text = "".join(f" {'bdklmnrst'[i % 9]}{'aeiou'[i % 5]}x" for i in range(200))
    tokens = TOKENIZER.encode(text)
    row = PromptBuilder(TOKENIZER).row(request(prompt=tokens, context="Boro"), "en")
    said = TOKENIZER.decode(row.head[1 : row.sot])
    assert said.startswith(" Boro")
    rest = said.removeprefix(" Boro")
    assert text.endswith(rest)
    assert rest.startswith(" ")
    assert 200 < row.sot <= 224


def committed(count: int) -> tuple[Segment, ...]:
    return (segment(0, None, *[word(" ba", 0, 0.05)] * count),)


def test_beside_many_committed_words_a_prompt_has_what_short_audio_leaves():
    asked = request(1.0, prompt=DO * 300, prefix=committed(250))
    row = PromptBuilder(TOKENIZER).row(asked, "en")
    assert row.limit == token_limit(asked)
    assert len(row.head) + len(row.prefix) + row.limit == 448


def test_committed_words_may_leave_a_single_position_and_no_fewer():
    most = 448 - len(TOKENIZER.sot_sequence("en")) - 1
    builder = PromptBuilder(TOKENIZER)
    assert builder.row(request(prefix=committed(most - 1)), "en").limit == 1  # a timestamp is before them
    with pytest.raises(ValueError, match=f"prefix must take at most {most} tokens, got {most + 1}"):
        builder.row(request(prefix=committed(most)), "en")


def test_a_prompt_can_be_left_out():
    asked = request(prompt=BA, context="Boro")
    row = PromptBuilder(TOKENIZER).row(asked, "en", prompted=False, drafted=False)
    assert row.head == TOKENIZER.sot_sequence("en")
    assert row.draft == () != PromptBuilder(TOKENIZER).row(asked, "en").draft


def test_long_context_takes_all_of_the_prompt_or_half_of_it_beside_earlier_text():
    builder, context = PromptBuilder(TOKENIZER), "do " * 300
    alone, beside = (builder.row(request(context=context, prompt=text), "en") for text in ((), BA * 300))
    assert alone.sot > 200
    assert [beside.head.count(token) for token in (*DO, *BA)] == [pytest.approx(111, abs=1)] * 2


def test_timestamps_are_of_the_window_in_order_and_rounded():
    """What began before the window begins with it; nothing goes back; the guess continues the open segment."""
    asked = replace(
        request(2.0, start=10.0),
        prefix=(
            segment(8.0, 10.509, word(" ba", 10.0, 10.5)),
            segment(10.3, None, word(" do", 10.6, 10.9)),
        ),
        draft=(segment(10.3, 11.2, word(" ki", 10.9, 11.2)), segment(11.5, 45.0, word(" mu", 11.5, 12.0))),
    )
    prefix, draft = PromptBuilder(TOKENIZER).window_tokens(asked)
    said = {text: TOKENIZER.encode(text) for text in (" ba", " do", " ki", " mu")}
    assert prefix == (STAMP, *said[" ba"], STAMP + 25, STAMP + 25, *said[" do"])
    assert draft == (*said[" ki"], STAMP + 60, STAMP + 75, *said[" mu"], STAMP + 1500)


def test_where_a_segment_has_to_begin_its_start_is_guessed():
    builder = PromptBuilder(TOKENIZER)
    closed = (segment(0.0, 1.0, word(" ba", 0.2, 0.9)),)
    assert builder.window_tokens(request(2.0))[1] == (STAMP,)
    assert builder.window_tokens(replace(request(2.0), prefix=closed))[1] == (STAMP + 60,)
    assert builder.window_tokens(replace(request(2.0), draft=closed))[1][-1] == STAMP + 60
    assert builder.window_tokens(replace(request(2.0), prefix=OPEN))[1] == ()


def test_where_committed_words_end_a_segment_its_end_and_the_next_start_are_guessed():
    ended = (segment(1.0, 1.0),)
    draft = PromptBuilder(TOKENIZER).window_tokens(replace(request(2.0), prefix=OPEN, draft=ended))[1]
    assert draft == (STAMP + 50, STAMP + 60)


def test_a_guessed_segment_without_words_is_no_guess():
    guess = (segment(0.2, 0.4), segment(0.5, 0.8, word(" ba", 0.5, 0.8)))
    assert PromptBuilder(TOKENIZER).window_tokens(request(draft=guess))[1] == (STAMP + 25, *BA, STAMP + 40, STAMP + 50)


def test_the_limit_follows_the_audio_after_the_prefix():
    assert token_limit(request(2.0)) == 60
    assert token_limit(replace(request(2.0), prefix=OPEN)) == 44
    assert token_limit(replace(request(0.5), prefix=OPEN)) == 20


@pytest.mark.parametrize(("language", "rate"), [("en", 3), ("de", 4), ("ja", 7), ("hi", 17), ("my", 60)])
def test_a_text_said_at_the_pace_of_its_language_is_no_loop(language, rate):
    """Tokens a second of the first article of human rights, read aloud."""
    assert repetition_limit(request(12.0), language) >= rate * 12


def test_a_model_that_earlier_text_does_not_help_is_told_the_client_s_words_only():
    tokens = TOKENIZER.encode(" ba do")
    asked = request(prompt=tuple(tokens), context="Boro")
    row = PromptBuilder(TOKENIZER, earlier=False).row(asked, "en")
    plain = PromptBuilder(TOKENIZER, earlier=False).row(request(context="Boro"), "en")

    assert row == plain
    assert row != PromptBuilder(TOKENIZER).row(asked, "en")
    assert PromptBuilder(TOKENIZER, earlier=False).row(request(prompt=tuple(tokens)), "en").head == (
        TOKENIZER.sot_sequence("en", Task.TRANSCRIBE)
    )
