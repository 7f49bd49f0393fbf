from dataclasses import replace

import numpy as np
import pytest
import torch

from model.audio.loudness import Loudness
from model.decoding.rows import Decoded
from model.decoding.segments import SegmentBuilder, Span, token_spans
from model.decoding.timing import WordTimer
from model.types import SAMPLE_RATE, DecodeRequest, Segment, Word
from tests.model.asking import OPEN, STAMP, TOKENIZER, segment, word

BA, DO, KI = (TOKENIZER.encode(text) for text in (" ba", " do", " ki"))


def stamp(seconds: float) -> int:
    return STAMP + round(seconds * 50)


def spoken(*stretches: tuple[float, float], seconds: float, floor: float = 0.0) -> np.ndarray:
    """Noise where something is said."""
    random = np.random.default_rng(1)
    audio = floor * random.standard_normal(int(seconds * SAMPLE_RATE))
    for start, end in stretches:
        first, last = int(start * SAMPLE_RATE), int(end * SAMPLE_RATE)
        audio[first:last] = 0.1 * random.standard_normal(last - first)
    return audio.astype(np.float32)


def decoded(tokens: list[int], heard: list[tuple[float, float]], seconds: float, before: int = 0) -> Decoded:
    """A decode whose every query, one for each token and the end of text, listens to its stretch of seconds."""
    attention = torch.full((1, before + len(tokens) + 1, int(seconds * 50) + 64), 1e-4)
    assert len(heard) == attention.shape[1]
    for row, (start, end) in enumerate(heard):
        attention[0, row, int(start * 50) : max(int(end * 50), int(start * 50) + 4)] = 1.0
    return Decoded(tokens, [-0.1] * (len(tokens) + 1), ended=True, attention=attention)


def seconds(words: tuple[Word, ...]) -> list[tuple[float, float]]:
    return [(w.start / SAMPLE_RATE, w.end / SAMPLE_RATE) for w in words]


def test_words_lose_the_pauses_around_them():
    """The path gives the pause between two words to the second one."""
    audio = spoken((0.5, 0.9), (1.2, 1.6), seconds=2.0)
    tokens = [stamp(0.5), *BA, *DO, stamp(1.6)]
    assert [len(BA), len(DO)] == [1, 1]
    heard = [(0, 0.5), (0.5, 0.9), (0.9, 1.6), (1.6, 1.9), (1.9, 2.0)]
    found = SegmentBuilder(TOKENIZER).build(DecodeRequest("s", 0, audio), (), decoded(tokens, heard, 2.0), "en")
    assert [w.text for w in found[0].words] == [" ba", " do"]
    assert seconds(found[0].words) == [pytest.approx((0.5, 0.9), abs=0.03), pytest.approx((1.2, 1.6), abs=0.03)]
    assert (found[0].start, found[0].end) == (8000, 25600)
    assert found[0].words[0].probability == pytest.approx(np.exp(-0.1))


def test_the_probability_of_a_word_is_the_geometric_mean_over_its_tokens():
    tokens = [STAMP, *TOKENIZER.encode(" ba kud"), stamp(1.0)]
    out = decoded(tokens, [(i / 10, (i + 1) / 10) for i in range(len(tokens) + 1)], 1.0)
    chances = [0.5, 0.9, 0.2, 0.8, 0.7, 0.6]
    out.log_probabilities = np.log(chances).tolist()
    found = SegmentBuilder(TOKENIZER).build(DecodeRequest("s", 0, spoken((0, 1), seconds=1.0)), (), out, "en")
    assert [(w.text, len(w.tokens)) for w in found[0].words] == [(" ba", 1), (" kud", 2)]
    assert [w.probability for w in found[0].words] == pytest.approx([0.9, (0.2 * 0.8) ** 0.5])


def test_a_special_token_between_words_is_no_text():
    audio = spoken((0.5, 0.9), (1.2, 1.6), seconds=2.0)
    tokens = [stamp(0.5), *BA, TOKENIZER.languages["en"], *DO, TOKENIZER.transcribe, stamp(1.6)]
    heard = [(0, 0.5), (0.5, 0.9), (0.9, 1.0), (1.2, 1.6), (1.5, 1.6), (1.6, 1.9), (1.9, 2.0)]
    found = SegmentBuilder(TOKENIZER).build(DecodeRequest("s", 0, audio), (), decoded(tokens, heard, 2.0), "en")
    assert [(w.text, w.tokens) for w in found[0].words] == [(" ba", tuple(BA)), (" do", tuple(DO))]
    assert found[0].words[1].end == found[0].end == 25600


def test_in_noise_timestamps_hold_where_the_path_is_vague():
    """A first word that starts with the pause before it, a last one cut early."""
    audio = spoken((0.8, 1.2), seconds=2.0, floor=0.05)
    tokens = [stamp(0.8), *BA, stamp(1.2)]
    heard = [(0, 0.2), (0.2, 1.0), (1.0, 1.6), (1.6, 2.0)]
    found = SegmentBuilder(TOKENIZER).build(DecodeRequest("s", 0, audio), (), decoded(tokens, heard, 2.0), "en")
    assert seconds(found[0].words) == [pytest.approx((0.8, 1.2), abs=0.011)]


@pytest.mark.parametrize(("closed", "end"), [(1.4, 1.4), (1.9, 1.0), (0.4, 1.0), (0.2, 1.0)])
def test_the_end_of_a_segment_is_its_last_word_s_where_the_path_ends_at_about_the_same_time(closed, end):
    """Long after the last word's path, or before the word has begun, it says nothing of the word."""
    tokens, heard = [stamp(0.4), *BA, stamp(closed)], [(0, 0.4), (0.4, 1.0), (1.0, 1.3), (1.3, 2.0)]
    request = DecodeRequest("s", 0, spoken((0.0, 2.0), seconds=2.0))
    found = SegmentBuilder(TOKENIZER).build(request, (), decoded(tokens, heard, 2.0), "en")
    assert seconds(found[0].words) == [pytest.approx((0.4, end), abs=0.03)]


def test_a_word_lasts_as_long_as_a_position_of_the_encoder_at_least():
    """The path may leave none to it; at the end of the audio it is taken from the word before."""
    timer = WordTimer([8000, 8000, 16000, 16000], 0, 16000, Loudness(0, spoken(seconds=1.0)))
    places = [timer.place(index, index + 1, opened=None, closed=None) for index in (0, 2)]
    assert places == [(8000, 8320), (15680, 16000)]


def test_words_after_a_prefix_start_after_it():
    audio = spoken((0.1, 1.6), seconds=2.0)
    prefix = (stamp(0.1), *BA, *DO)
    heard = [(0, 0.1), (0.1, 0.4), (0.4, 0.9), (0.7, 1.6), (1.6, 1.8), (1.8, 2.0)]
    request = DecodeRequest("s", 0, audio, prefix=OPEN)
    found = SegmentBuilder(TOKENIZER).build(request, prefix, decoded([*KI, stamp(1.6)], heard, 2.0, 3), "en")
    assert found[0].start == OPEN[0].start
    assert seconds(found[0].words) == [pytest.approx((0.8, 1.6), abs=0.03)]


def test_of_committed_words_only_the_last_two_have_a_say_in_where_new_ones_are():
    """Where the others were heard is settled, whatever they look at now; aligning them again would take ever longer."""
    said = [word(" ba", i / 10, (i + 1) / 10) for i in range(6)]
    prefix = (STAMP, *(token for one in said for token in one.tokens))
    heard = [(0, 0.02), *[(i / 10, (i + 1) / 10) for i in range(6)], (1.0, 1.5), (1.5, 1.8), (1.8, 2.0)]
    heard[4] = (0.6, 2.0)
    request = DecodeRequest("s", 0, spoken((0.0, 2.0), seconds=2.0), prefix=(segment(0, None, *said),))
    found = SegmentBuilder(TOKENIZER).build(request, prefix, decoded([*KI, stamp(1.5)], heard, 2.0, 7), "en")
    assert seconds(found[0].words) == [pytest.approx((0.6, 1.5), abs=0.03)]


def test_what_the_decoder_looks_at_beyond_the_audio_moves_no_word():
    """The encoder is shown silence behind it, where queries like to rest."""
    audio = spoken((0.5, 0.9), (1.2, 1.6), seconds=2.0)
    out = decoded([stamp(0.5), *BA, *DO], [(0, 0.5), (0.5, 0.9), (0.9, 1.6), (1.6, 2.0)], 2.0)
    build = SegmentBuilder(TOKENIZER).build
    expected = build(DecodeRequest("s", 0, audio), (), out, "en")
    out.attention[:, 1, 100:] = 9.0
    assert build(DecodeRequest("s", 0, audio), (), out, "en") == expected


def test_the_same_window_later_in_the_stream_has_the_same_words_later():
    audio = spoken((0.1, 0.8), (1.0, 1.4), seconds=2.0)
    prefix, out = (stamp(0.1), *BA, *DO), [*KI, stamp(1.4), stamp(1.6), *BA]
    heard = [(0, 0.1), (0.1, 0.4), (0.4, 0.8), (0.8, 1.4), (1.4, 1.6), (1.5, 1.6), (1.6, 1.8), (1.8, 2.0)]
    build = SegmentBuilder(TOKENIZER).build
    early = build(DecodeRequest("s", 0, audio, prefix=OPEN), prefix, decoded(out, heard, 2.0, 3), "en")
    committed = tuple(moved(segment) for segment in OPEN)
    late = build(DecodeRequest("s", 160_000, audio, prefix=committed), prefix, decoded(out, heard, 2.0, 3), "en")
    assert seconds(early[0].words) == [pytest.approx((1.0, 1.4), abs=0.03)]
    assert late == tuple(moved(segment) for segment in early)


def test_a_committed_word_may_have_begun_before_the_window():
    audio = spoken((0.0, 0.8), seconds=1.0)
    said = (word(" ba", 9.7, 10.2), word(" do", 10.2, 10.4))
    heard = [(0, 0.02), (0, 0.2), (0.2, 0.4), (0.4, 0.8), (0.8, 0.9), (0.9, 1.0)]
    request = DecodeRequest("s", 160_000, audio, prefix=(segment(9.7, None, *said),))
    found = SegmentBuilder(TOKENIZER).build(request, (STAMP, *BA, *DO), decoded([*KI, stamp(0.8)], heard, 1.0, 3), "en")
    assert seconds(found[0].words) == [pytest.approx((10.4, 10.8), abs=0.03)]


def test_an_open_segment_that_closes_at_once_is_told():
    request = DecodeRequest("s", 0, spoken((0.1, 0.9), seconds=1.0), prefix=OPEN)
    prefix = (stamp(0.1), *BA, *DO)
    heard = [(0, 0.1), (0.1, 0.4), (0.4, 0.9), (0.9, 1.0), (0.9, 1.0)]
    found = SegmentBuilder(TOKENIZER).build(request, prefix, decoded([stamp(0.9)], heard, 1.0, 3), "en")
    assert [(s.start, s.end, s.words) for s in found] == [(1600, 14400, ())]


@pytest.mark.parametrize(
    ("tokens", "continues", "expected"),
    [
        ([], False, []),
        ([STAMP], False, []),
        ([STAMP + 5, 1, 2, STAMP + 9], False, [Span(1600, 2880, 1, 3)]),
        ([STAMP + 5, 1, STAMP + 9, STAMP + 10, 2], False, [Span(1600, 2880, 1, 2), Span(3200, None, 4, 5)]),
        ([STAMP, 1, STAMP + 9, STAMP + 9], False, [Span(0, 2880, 1, 2)]),
        ([1, 2], True, [Span(None, None, 0, 2)]),
        ([1, STAMP + 9, STAMP + 9, 2], True, [Span(None, 2880, 0, 1), Span(2880, None, 3, 4)]),
        ([STAMP + 9], True, [Span(None, 2880, 0, 0)]),
        ([], True, []),
        ([1, 2], False, [Span(0, None, 0, 2)]),
        ([STAMP, STAMP + 5, 1], False, [Span(1600, None, 2, 3)]),
        (
            [STAMP, 1, STAMP + 5, STAMP + 6, 2, STAMP + 9, 3],
            False,
            [Span(0, 1600, 1, 2), Span(1920, 2880, 4, 5), Span(2880, None, 6, 7)],
        ),
    ],
)
def test_timestamps_divide_tokens_into_segments(tokens, continues, expected):
    assert token_spans(tokens, STAMP, 0, continues=continues) == expected


def test_sound_is_found_relative_to_the_loudest_moment():
    for gain in (1.0, 1e-3):
        loudness = Loudness(160, gain * spoken((0.3, 0.5), seconds=1.0))
        start, end = loudness.trim(160, 160 + SAMPLE_RATE)
        assert (start, end) == (pytest.approx(160 + 4800, abs=160), pytest.approx(160 + 8000, abs=160))


@pytest.mark.parametrize(("below", "pause"), [(45, True), (25, False)])
def test_a_pause_may_be_noisy_but_not_nearly_as_loud_as_the_words(below, pause):
    """In decibels below the words; what is no whole cell at the end of the audio is left out."""
    audio = spoken((0.3, 0.5), (0.9, 1.0), seconds=1.004, floor=0.1 * 10 ** (-below / 20))
    loudness = Loudness(0, audio)
    start, end = loudness.trim(1600, 12_800)
    assert (start, end) == (pytest.approx((4800, 8000), abs=160) if pause else (1600, 12_800))
    assert (loudness.nearest_pause(7600) != 7600) == pause
    assert loudness.trim(8800, 16_000) == (pytest.approx((14_400, 16_000), abs=160) if pause else (8800, 16_000))


def test_nothing_is_cut_from_noise_silence_or_beyond_the_audio():
    for audio in (spoken(seconds=1.0, floor=0.1), spoken(seconds=1.0), spoken(seconds=0.0)):
        loudness = Loudness(0, audio)
        assert loudness.trim(1600, 4800) == (1600, 4800)
        assert loudness.nearest_pause(3200) == 3200
        assert loudness.trim(50_000, 60_000) == (50_000, 60_000)
        assert loudness.nearest_pause(50_000) == 50_000
        assert loudness.nearest_pause(-800) == -800


@pytest.mark.parametrize("start", [0, 160_000])
def test_a_boundary_moves_into_a_pause_within_80_ms(start):
    loudness = Loudness(start, spoken((0.0, 0.5), (0.6, 1.0), seconds=1.0))
    for time in (6720, 7200, 8800, 9900, 10_720):
        assert 8000 <= loudness.nearest_pause(start + time) - start <= 9600
    for time in (3200, 6719, 10_880):
        assert loudness.nearest_pause(start + time) - start == time


def test_a_word_says_up_to_where_the_decoder_looked_when_it_wrote_it():
    """The latest of its tokens' peaks, within the audio, on the stream's own time line."""
    audio = spoken((0.1, 1.6), seconds=2.0)
    prefix = (stamp(0.1), *BA, *DO)
    heard = [(0, 0.1), (0.1, 0.4), (0.4, 0.9), (1.0, 1.2), (1.6, 1.8), (1.8, 2.0)]
    request = DecodeRequest("s", 160_000, audio, prefix=tuple(moved(segment) for segment in OPEN))
    found = SegmentBuilder(TOKENIZER).build(request, prefix, decoded([*KI, stamp(1.6)], heard, 2.0, 3), "en")
    (word,) = found[0].words
    assert 160_000 + 1.0 * SAMPLE_RATE <= word.attended <= 160_000 + 1.22 * SAMPLE_RATE
    beyond = decoded([*KI, stamp(1.6)], [*heard[:3], (2.1, 2.4), *heard[4:]], 2.0, 3)
    found = SegmentBuilder(TOKENIZER).build(request, prefix, beyond, "en")
    assert found[0].words[0].attended <= request.end, "what is beyond the audio is not looked at"


def moved(segment: Segment) -> Segment:
    """Return a segment ten seconds later."""

    def later(time: int | None) -> int | None:
        return None if time is None else time + 160_000

    words = tuple(
        replace(word, start=later(word.start), end=later(word.end), attended=later(word.attended))
        for word in segment.words
    )
    return replace(segment, start=later(segment.start), end=later(segment.end), words=words)


def test_of_several_tokens_the_one_that_looked_furthest_counts():
    audio = spoken((0.1, 1.6), seconds=2.0)
    timer = WordTimer([0, 1600, 8000, 16000], 0, len(audio), Loudness(0, audio), [3200, 9600, 6400])
    assert timer.attended(0, 3) == 9600
    assert timer.attended(2, 3) == 6400
    assert WordTimer([0], 0, len(audio), Loudness(0, audio)).attended(0, 1) is None


def test_words_a_limit_cut_off_still_get_times():
    """Without the end of text there is one query less."""
    audio = spoken((0.1, 0.9), seconds=1.0)
    out = decoded([STAMP, *BA, *DO], [(0, 0.1), (0.1, 0.4), (0.4, 0.9), (0.9, 1.0)], 1.0)
    out.attention = out.attention[:, :-1]
    found = SegmentBuilder(TOKENIZER).build(DecodeRequest("s", 0, audio), (), out, "en")
    assert [w.text for w in found[0].words] == [" ba", " do"]
    assert found[0].words[-1].end <= SAMPLE_RATE
