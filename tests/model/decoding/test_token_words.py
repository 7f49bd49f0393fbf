"""Words of segments as `generate` returns them: seconds, where each token ends, and what it was worth."""

import numpy as np
import pytest
import torch

from model.decoding.token_words import WordReader
from model.types import Segment
from tests.model.asking import TOKENIZER
from tests.model.decoding.test_timing import BA, DO, KI, seconds, spoken, stamp

AUDIO = spoken((0.1, 0.5), (0.7, 1.2), (1.5, 1.8), seconds=2.0)


def found(start: float, end: float, tokens: tuple[int, ...], ends: list[float], chances: list[float] | None = None):
    """One segment: text between its timestamps; ends and chances: of the text's tokens."""
    one = {
        "start": torch.tensor(start),
        "end": torch.tensor(end),
        "tokens": torch.tensor([stamp(start), *tokens, stamp(end)]),
        "token_timestamps": torch.tensor([start, *ends, end]),
    }
    return one if chances is None else one | {"token_log_probabilities": torch.tensor([0.9, *chances, 0.9]).log()}


def read(*segments, audio: np.ndarray = AUDIO) -> tuple[Segment, ...]:
    return WordReader(TOKENIZER).segments(segments, audio, "en")


def test_words_of_all_segments_have_their_times_and_segments_without_text_are_left_out():
    segments = read(
        found(0.1, 1.2, (*BA, *DO), [0.6, 1.2]),
        found(1.2, 1.4, (), []),
        found(1.4, 1.8, (*KI, TOKENIZER.eot), [1.8] * 2),
    )
    words = [word for one in segments for word in one.words]
    assert [(word.text, word.tokens) for word in words] == [(" ba", BA), (" do", DO), (" ki", KI)]
    assert seconds(words) == [pytest.approx(times, abs=0.03) for times in ((0.1, 0.5), (0.7, 1.2), (1.5, 1.8))], (
        "without the pauses"
    )
    assert [(one.start, one.end) for one in segments] == [(1600, 19_200), (22_400, 28_800)]


def test_in_noise_the_first_word_of_a_segment_begins_with_it_and_the_last_one_ends_with_it():
    one = found(0.8, 1.4, (*BA, *DO), [1.0, 1.3])
    one["token_timestamps"][0] = 0.3
    (segment,) = read(one, audio=spoken((0.8, 1.4), seconds=2.0, floor=0.05))
    assert seconds(segment.words) == [pytest.approx(times, abs=0.03) for times in ((0.8, 1.0), (1.0, 1.4))]


def test_words_and_segments_stay_within_the_audio_and_never_go_back():
    first, second = read(found(0.1, 1.2, (*BA, *DO), [0.5, 1.2]), found(1.0, 2.6, (*KI, *BA), [1.1, 2.4]))
    assert first.words[-1].end <= second.words[0].start < second.words[1].start < second.words[1].end <= len(AUDIO)
    assert second.start <= second.words[0].start
    assert second.end == len(AUDIO)


def test_the_probability_is_the_geometric_mean_over_a_word_s_tokens_and_one_where_none_is_told():
    text = TOKENIZER.encode(" ba kud")
    (told,) = read(found(0.1, 1.2, text, [0.5, 0.8, 1.2], [0.7, 0.2, 0.8]))
    assert [word.probability for word in told.words] == pytest.approx([0.7, np.sqrt(0.2 * 0.8)])
    (untold,) = read(found(0.1, 1.2, text, [0.5, 0.8, 1.2]))
    assert [word.probability for word in untold.words] == [1.0, 1.0]
