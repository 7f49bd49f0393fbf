"""What every commit policy must keep, whatever the audio, the network and the recognizer do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, DecodeRequest, Word
from streamer.config import CommitPolicyName, ConfigError, SessionConfig
from streamer.core.attention_commit import AttentionGuard
from streamer.core.commit import LocalAgreement
from streamer.core.events import Commit, Final, Gap
from streamer.core.policies import new_policy
from tests.fakes import LEVELS, LevelRecognizer, silence, speak
from tests.streamer.driver import Player, commits, committed_words, cut, finals, new_session, play

SECOND = SAMPLE_RATE
words = st.integers(0, LEVELS - 1)
phrases = st.lists(st.lists(words, min_size=1, max_size=8), min_size=1, max_size=3)
chunk_sizes = st.lists(st.integers(160, 2 * SECOND), min_size=1, max_size=5)
latencies = st.lists(st.integers(0, 6 * SECOND), min_size=1, max_size=5)

EAGER = SessionConfig(commit_policy=CommitPolicyName.ATTENTION, attention_distance_ms=0, attention_probability=0.9)
CONFIGS = {
    "agreement": SessionConfig(commit_policy=CommitPolicyName.AGREEMENT),
    "attention": SessionConfig(commit_policy=CommitPolicyName.ATTENTION, attention_probability=0.9),
    "attention at any distance": EAGER,
}
every_policy = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


class Attentive(LevelRecognizer):
    """Looks at the middle of each word; of a word that the end cuts it is not sure."""

    def words(self, request: DecodeRequest) -> Iterator[Word]:
        """Read every word and say where it looked."""
        for word in super().words(request):
            cut = word.text.startswith(" cut")
            yield replace(word, probability=0.5 if cut else 0.9, attended=(word.start + word.end) // 2)


class Misspelling(Attentive):
    """Spells by where the audio ends, is sure of it, and two in a row often agree on nonsense."""

    def spell(self, word: int, request: DecodeRequest) -> str:
        """Spell a word in one of three ways."""
        return f" w{word}x{(request.end // 6400 * 7 + word) % 5 // 2}"


def audio_of(said: list[list[int]]) -> np.ndarray:
    parts = [silence(SECOND // 3)]
    for phrase in said:
        parts += [speak(phrase), silence(SECOND)]
    return np.concatenate(parts)


def spoken(said: list[list[int]]) -> list[str]:
    return [f"w{word}" for phrase in said for word in phrase]


@every_policy
@given(said=phrases, chunks=chunk_sizes, delays=latencies, hurried=st.booleans())
@settings(max_examples=15, deadline=None)
def test_each_spoken_word_is_committed_exactly_once_and_finals_are_whole(config, said, chunks, delays, hurried):
    events = play(audio_of(said), chunks, delays, config, Attentive(), hurried=hurried)

    assert committed_words(events) == spoken(said)
    assert finals(events) == [" ".join(spoken([phrase])) for phrase in said]


@every_policy
@given(said=phrases, chunks=chunk_sizes, delays=latencies)
@settings(max_examples=15, deadline=None)
def test_even_if_the_recognizer_errs_the_same_is_committed_at_the_same_times(config, said, chunks, delays):
    audio = audio_of(said)
    expected, played = (
        [replace(commit, lag=None) for commit in commits(play(audio, *how, config, Misspelling()))]
        for how in (([480], [0]), (chunks, delays))
    )

    assert played == expected


@every_policy
@given(said=phrases, chunks=chunk_sizes, delays=latencies, hurried=st.booleans())
@settings(max_examples=15, deadline=None)
def test_commits_only_append_and_finals_are_their_join(config, said, chunks, delays, hurried):
    events = play(audio_of(said), chunks, delays, config, Misspelling(), hurried=hurried)

    assert [commit.id for commit in commits(events)] == list(range(1, len(commits(events)) + 1))
    texts: dict[int, str] = {}
    last_end = 0
    for event in events:
        if isinstance(event, Commit):
            texts[event.utterance] = texts.get(event.utterance, "") + event.text
            for word in event.words:
                assert last_end <= word.start <= word.end
                last_end = word.end
        elif isinstance(event, Final):
            assert event.text == texts.pop(event.utterance, "")
    assert not texts, "every utterance ends in a final"


@every_policy
@given(said=st.lists(words, min_size=45, max_size=70), delay=st.integers(0, 5 * SECOND), gap=st.integers(320, 5600))
@settings(max_examples=4, deadline=None)
def test_speech_without_a_pause_loses_and_doubles_nothing_at_trims(config, said, delay, gap):
    audio = np.concatenate([silence(SECOND // 3), speak(said, gap=gap), silence(SECOND)])
    events = play(audio, [1600], [delay], config, Attentive())

    assert committed_words(events) == spoken([said])
    assert not [event for event in events if isinstance(event, Gap)]


def test_attention_commits_a_word_before_agreement_does():
    audio = np.concatenate([speak(range(8)), silence(SECOND)])
    counts = [_committed_by(SECOND * 6 // 5, audio, config) for config in CONFIGS.values()]

    assert counts[0] < counts[1] <= counts[2]


def _committed_by(samples: int, audio: np.ndarray, config: SessionConfig) -> int:
    """Count the words committed when so much of the audio has been heard and answered."""
    player = Player(new_session(config), Attentive())
    for chunk in cut(audio[:samples], [160]):
        player.session.receive_audio(chunk)
        player.settle()
    return len(committed_words(player.events))


def test_settings_choose_the_policy():
    assert isinstance(new_policy(CONFIGS["agreement"]), LocalAgreement)
    assert isinstance(new_policy(CONFIGS["attention"]), AttentionGuard)


@pytest.mark.parametrize(
    ("name", "value"),
    [("attention_probability", 1.1), ("attention_probability", -0.1), ("attention_distance_ms", -1)],
)
def test_thresholds_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"session.{name} must be in"):
        SessionConfig(**{name: value})
