"""What counts as a repetition, and which one is a loop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.decoding.guards import Guards, longest_run
from tests.model.asking import word


@given(st.lists(st.sampled_from("ab"), max_size=14), st.integers(2, 4), st.integers(1, 4))
def test_the_longest_repetition_is_found(texts, copies, longest):
    def repeats(start, end, size):
        return end - start >= copies * size and all(texts[i] == texts[i - size] for i in range(start + size, end))

    spans = [(a, b) for a in range(len(texts)) for b in range(a + 1, len(texts) + 1)]
    runs = [(a, b) for a, b in spans if any(repeats(a, b, size) for size in range(1, longest + 1))]
    start, end = longest_run(texts, copies, longest)
    assert end - start == max((b - a for a, b in runs), default=0)
    assert (start, end) in [*runs, (0, 0)]


@pytest.mark.parametrize(
    ("begin", "end", "span", "loop", "impossible"),
    [(0.0, 2.0, 2.0, True, True), (10.0, 12.0, 20.0, True, False), (5.0, 20.0, 20.0, False, False)],
)
def test_a_phrase_is_a_loop_where_its_own_words_or_all_of_the_audio_have_too_little_time_for_it(
    begin, end, span, loop, impossible
):
    """Forty words: within two seconds, squeezed into two of twenty, and spread over fifteen."""
    step = (end - begin) / 40
    words = [word(" Ba" if i % 2 else " ba", begin + i * step, begin + (i + 1) * step) for i in range(40)]
    around = [word(" ki", 0.0, 0.1), *words, word(" do", span, span + 0.1)]
    assert Guards().is_loop(around, span) == loop
    assert Guards().is_impossible(around, span) == impossible
    assert not Guards().is_loop(around[:3], 0.1), "three words in a tenth of a second are no loop yet"
