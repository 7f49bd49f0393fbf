from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.decoding.prompt import PromptBuilder, token_limit
from model.types import SAMPLE_RATE, Task
from tests.model.asking import OPEN, STAMP, TOKENIZER, request, segment, word


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 600),
    st.integers(0, 300),
    st.integers(0, 380),
    st.sampled_from([0.1, 5.0, 30.0]),
    st.integers(0, 300),
)
def test_everything_fits_the_decoder(prompt, context, prefix, seconds, draft):
    spoken = TOKENIZER.encode(" ba")
    asked = replace(
        request(0.1),
        audio=np.zeros(int(seconds * SAMPLE_RATE), dtype=np.float32),
        prompt=spoken * prompt,
        context="do " * context,
        prefix=(segment(0, None, *[word(" ba", 0, 0.05)] * prefix),),
        draft=(segment(0, None, *[word(" ba", 0, 0.05)] * draft),),
    )
    row = PromptBuilder(TOKENIZER).row(asked, "en")
    assert len(row.head) + len(row.prefix) + row.limit <= 448
    assert 1 <= row.limit <= token_limit(asked)
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


def test_a_prompt_can_be_left_out():
    asked = request(prompt=TOKENIZER.encode(" ba"), context="Boro")
    row = PromptBuilder(TOKENIZER).row(asked, "en", prompted=False, drafted=False)
    assert row.head == TOKENIZER.sot_sequence("en")


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


def test_the_limit_follows_the_audio_after_the_prefix():
    assert token_limit(request(2.0)) == 60
    assert token_limit(replace(request(2.0), prefix=OPEN)) == 44
    assert token_limit(replace(request(0.5), prefix=OPEN)) == 20


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
