"""What the guards must leave alone: real voices saying one word again and again, softly, or in noise.

The demo model hears them. Each case is decoded with the guards and without: the text must be the same, whatever the
guards thought of it.
"""

from functools import cache

import numpy as np
import pytest

from model.checkpoint import Checkpoint, load_checkpoint
from model.decoding.guards import Guards
from model.files.hub import demo_folder
from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Samples
from streamer.config import EndpointConfig, SessionConfig
from streamer.core.session import Session
from streamer.core.vad import WebRtcVad
from tests.digits import WORDS, clip, errors, needs_recordings, say
from tests.streamer.driver import finals

pytestmark = [
    needs_recordings,
    pytest.mark.skipif(not (demo_folder() / "model.safetensors").is_file(), reason="the demo model has no weights"),
]
OFF = Guards(no_speech=1.1, log_probability=-1e9, compression=1e9, loop_pace=1e9)
CASES = [("seven", "jackson", 12, 0.05), ("two", "george", 16, 0.1), ("zero", "jackson", 5, 0.2)]


@cache
def checkpoint() -> Checkpoint:
    return load_checkpoint("demo", offline=True)


@cache
def recognizer(*, guarded: bool, dynamic: bool) -> WhisperRecognizer:
    return WhisperRecognizer(checkpoint(), dynamic=dynamic, guards=None if guarded else OFF)


def hear(audio: Samples, *, guarded: bool = True, dynamic: bool = True, **changes) -> Hypothesis:
    asked = DecodeRequest("s", 0, audio.astype(np.float32), **({"language": "en", "final": True} | changes))
    tested = recognizer(guarded=guarded, dynamic=dynamic)
    (answer,) = tested.transcribe([asked])
    tested.forget("s")
    return answer


def names(answer: Hypothesis) -> list[str]:
    return [word.text.strip().casefold() for word in answer.words]


@cache
def again(name: str, speaker: str, count: int, pause: float) -> Samples:
    """One word said `count` times, each time by another take."""
    quiet = np.zeros(int(pause * SAMPLE_RATE), np.float32)
    takes = [clip(WORDS.index(name), speaker, take)[0] for take in range(count)]
    return np.concatenate([np.zeros(SAMPLE_RATE // 3, np.float32), *[part for take in takes for part in (take, quiet)]])


@cache
def unguarded(case: tuple[str, str, int, float], *, final: bool) -> Hypothesis:
    """What is heard with 30 s of context and no guard."""
    return hear(again(*case), dynamic=False, final=final, guarded=False)


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_word_said_again_and_again_survives_the_guards(case, dynamic, final):
    name, _, count, _ = case
    audio = again(*case)
    answer = hear(audio, dynamic=dynamic, final=final)
    bare = unguarded(case, final=final)
    assert not answer.loops
    assert len(names(answer)) >= count, "none is deleted"
    for heard in (answer, bare):
        assert names(heard).count(name) >= count - 1, "the model takes one two for a three, with little context or much"
    if answer.statistics.encoder_positions == bare.statistics.encoder_positions:
        assert names(answer) == names(bare)
    assert answer.statistics.fallbacks <= 1, "tried with more context at most, never drawn at random"


def test_a_word_said_five_times_is_decoded_once():
    answer = hear(again("zero", "jackson", 5, 0.2))
    assert names(answer) == ["zero"] * 5
    assert (answer.statistics.fallbacks, answer.trusted) == (0, True)


@pytest.mark.parametrize("speaker", ["george", "jackson", "nicolas"])
@pytest.mark.parametrize("decibels", [-30, -50])
def test_soft_speech_is_no_silence(speaker, decibels):
    audio = say(speaker, 5, seed=3).audio * 10 ** (decibels / 20)
    answer = hear(audio)
    assert names(answer) == names(hear(audio, guarded=False))
    assert len(names(answer)) >= (5 if decibels > -50 else 4)  # at -50 dB one word is too soft for the model itself
    assert answer.statistics.fallbacks == 0


@pytest.mark.parametrize("speaker", ["george", "jackson", "nicolas", "yweweler"])
def test_speech_in_as_much_noise_is_neither_silence_nor_improbable(speaker):
    spoken = say(speaker, 5, seed=3)
    loud = np.sqrt((spoken.audio**2).mean())
    audio = spoken.audio + loud * np.random.default_rng(1).standard_normal(len(spoken.audio))
    answer = hear(audio)
    assert len(names(answer)) == 5
    assert names(answer) == names(hear(audio, guarded=False))
    assert answer.statistics.fallbacks == 0


def stream(audio: Samples) -> tuple[Session, list[str], int]:
    """Run audio through a session with the real detector; return its finals and how often it asked."""
    session = Session("s", SessionConfig(), EndpointConfig(), WebRtcVad(1), language="en")
    asked, events = 0, []
    for at in range(0, len(audio), 4000):
        session.receive_audio(audio[at : at + 4000].astype(np.float32))
        while (request := session.next_request()) is not None:
            asked += 1
            session.receive_hypothesis(recognizer(guarded=True, dynamic=True).transcribe([request])[0])
        events += session.events()
    session.receive_eof()
    while (request := session.next_request()) is not None:
        asked += 1
        session.receive_hypothesis(recognizer(guarded=True, dynamic=True).transcribe([request])[0])
    events += session.events()
    recognizer(guarded=True, dynamic=True).forget("s")
    return session, finals(events), asked


@pytest.mark.parametrize(("loudness", "most"), [(0.0, 0), (1e-4, 2), (1e-3, 2)])
def test_what_is_no_speech_is_hardly_asked_about_and_never_written(loudness, most):
    """The detector takes the first moments of noise for speech, and then it knows them."""
    audio = loudness * np.random.default_rng(7).standard_normal(6 * SAMPLE_RATE)
    session, said, asked = stream(audio)
    assert session.done
    assert said == []
    assert asked <= most


def test_soft_speech_passes_the_detector():
    spoken = say("jackson", 5, seed=3)
    _, said, asked = stream(spoken.audio * 10 ** (-30 / 20))
    assert asked
    assert errors(" ".join(said).casefold().split(), list(spoken.words)) <= 1
