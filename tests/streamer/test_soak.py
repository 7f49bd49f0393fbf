"""A long stream: nothing grows, nothing is lost."""

from __future__ import annotations

import random

import numpy as np

from model.types import SAMPLE_RATE
from streamer.config import SessionConfig
from streamer.core.events import Gap, Warned
from tests.fakes import LEVELS, LevelRecognizer, silence, speak
from tests.streamer.driver import Player, committed_words, new_session


def test_half_an_hour_of_speech_with_pauses_keeps_every_word_and_little_memory():
    dice = random.Random(1)
    session = new_session(SessionConfig(update_interval_ms=1500))
    recognizer = LevelRecognizer()
    recognizer.requests = []
    player = Player(session, recognizer, [SAMPLE_RATE // 2])
    said: list[str] = []
    storage: list[int] = []
    held: list[int] = []
    while session.received < 30 * 60 * SAMPLE_RATE:
        phrase = [dice.randrange(LEVELS) for _ in range(dice.choice([2, 5, 10, 30, 120]))]
        said += [f"w{word}" for word in phrase]
        pause = silence(dice.randrange(SAMPLE_RATE // 5, 3 * SAMPLE_RATE))
        audio = np.concatenate([speak(phrase, gap=dice.randrange(400, 4000)), pause])
        for start in range(0, len(audio), 8000):
            session.receive_audio(audio[start : start + 8000])
            player.settle()
            held.append(len(session._intake.window))
        storage.append(session._intake.window.capacity)
    session.receive_eof()
    player.settle(ended=True)

    assert committed_words(player.events) == said
    assert not [event for event in player.events if isinstance(event, Gap | Warned)]
    assert max(held) < 32 * SAMPLE_RATE, "no more than the window and what came during one decode"
    assert max(storage) <= 4 * 32 * SAMPLE_RATE
    assert len(session._dialogue.history.tokens) <= 223
