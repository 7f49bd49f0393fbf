"""What windows are told and which languages are heard, with a small network of random weights."""

import copy
import functools
import http.server
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model import pipeline
from model.decoding.token_words import WordReader
from model.errors import ModelError
from model.files.hub import demo_folder
from model.generation.long_form import Transcription
from model.transcriber import WhisperTranscriber
from model.types import Task
from tests.model.small_whisper import noise, small_checkpoint

CLIP = Path(__file__).parents[2] / "clients" / "demo" / "digits.flac"


@pytest.fixture
def checkpoint(monkeypatch):
    monkeypatch.setattr("model.transcriber.TEMPERATURES", (0.0,))
    found = small_checkpoint(0.5)
    found.model.generation_config = found.generation
    return found


@pytest.mark.parametrize("prompt", ["", "ab", "ab cd ef gh " * 80])
def test_prompt_and_earlier_text_share_half_of_the_positions(checkpoint, monkeypatch, prompt):
    lengths = []
    decode = Transcription._transcribe_window

    def spy(self, batch, told):
        lengths.append(told.ids.shape[1])
        decode(self, batch, told)

    monkeypatch.setattr(Transcription, "_transcribe_window", spy)
    audio = np.concatenate([noise(30.0, seed) for seed in range(6)])
    WhisperTranscriber(checkpoint, conditioned=True).transcribe([audio], language="en", prompt=prompt)

    assert len(lengths) >= 6
    assert len(prompt) < 100 or lengths[-1] > 200, "there is much to tell"
    assert max(lengths) <= checkpoint.config.max_target_positions // 2 + 4


@pytest.mark.parametrize("codes", [("en", "zh"), ("zh",)])
def test_only_languages_of_the_card_are_heard(checkpoint, codes):
    config = copy.deepcopy(checkpoint.config)
    config.extra["streamer"] = {"languages": list(codes)}
    transcriber = WhisperTranscriber(replace(checkpoint, config=config))

    heard = {transcriber.transcribe([noise(5.0, seed)])[0].language for seed in range(4)}
    assert heard <= set(codes) == set(transcriber.card.languages)


def test_a_model_of_english_alone_is_asked_for_no_language_and_translates_nothing(checkpoint, monkeypatch):
    config = copy.deepcopy(checkpoint.config)
    config.extra["streamer"] = {"languages": []}
    transcriber, asked = WhisperTranscriber(replace(checkpoint, config=config)), {}
    monkeypatch.setattr(checkpoint.model, "generate", lambda **options: asked.update(options) or {"segments": [[]]})

    assert transcriber.transcribe([noise(1.0)])[0].language == "en"
    assert not asked.keys() & {"language", "task"}
    with pytest.raises(ModelError, match="task must be transcribe: small knows English only, got 'translate'"):
        transcriber.transcribe([noise(1.0)], task=Task.TRANSLATE)


def test_a_prompt_without_earlier_text_has_all_the_room_and_is_told_once(checkpoint, monkeypatch):
    prompt, asked = "ab cd ef gh " * 80, {}
    monkeypatch.setattr(checkpoint.model, "generate", lambda **options: asked.update(options) or {"segments": [[]]})
    WhisperTranscriber(checkpoint, conditioned=False).transcribe([noise(1.0)], language="en", prompt=prompt)

    start, *tokens = asked["prompt_ids"].tolist()
    assert start == checkpoint.tokenizer.startofprev
    assert len(tokens) + 1 == checkpoint.config.max_target_positions // 2 - 1
    assert tokens == list(checkpoint.tokenizer.encode(" " + prompt.strip()))[-len(tokens) :], "its end"
    assert asked["prompt_condition_type"] == "first-segment"


def test_recordings_too_short_for_a_word_keep_their_place_and_are_decided_from_the_start(checkpoint, monkeypatch):
    def generate(*, monitor_progress, **_):
        monitor_progress(torch.tensor([[0, 200], [40, 200]]))
        monitor_progress(torch.tensor([[300, 200], [100, 200]]))
        return {"segments": ["first", "second"]}

    monkeypatch.setattr(checkpoint.model, "generate", generate)
    monkeypatch.setattr(WordReader, "segments", lambda _, found, audio, language: (found, len(audio), language))
    recordings, told = [noise(seconds) for seconds in (0.1, 2.0, 0.0, 1.0)], []
    found = WhisperTranscriber(checkpoint).transcribe(recordings, language="de", progress=told.append)

    assert [one.segments for one in found] == [(), ("first", 32_000, "de"), (), ("second", 16_000, "de")]
    assert [(one.language, one.end) for one in found] == [("de", 1600), ("de", 32_000), ("de", 0), ("de", 16_000)]
    assert told == [(1600, 0, 0, 6400), (1600, 32_000, 0, 16_000)]
    (unheard,) = WhisperTranscriber(checkpoint).transcribe(recordings[:1])
    assert (unheard.segments, unheard.language) == ((), "")


@pytest.mark.skipif(not (demo_folder() / "model.safetensors").is_file(), reason="the demo model has no weights")
def test_a_pipeline_takes_the_address_of_a_sound_file():
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=CLIP.parent)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            hear = pipeline(model=str(demo_folder()))
            generate = {"language": "en", "num_beams": 1}
            address = f"http://127.0.0.1:{server.server_port}/{CLIP.name}"
            with torch.inference_mode():
                found = hear(address, return_timestamps=True, generate_kwargs=generate)
                known = hear(CLIP, return_timestamps=True, generate_kwargs=generate)
        finally:
            server.shutdown()
            thread.join()
    assert found == known
    assert found["text"]


@pytest.mark.parametrize(
    ("recordings", "said"), [(1, "for a recording"), (3, "for 3 recordings at once: fewer need less")]
)
def test_a_lack_of_memory_is_told_with_what_would_help(checkpoint, monkeypatch, recordings, said):
    def short(**_):
        raise torch.OutOfMemoryError("tried to allocate 20 MiB")

    monkeypatch.setattr(checkpoint.model, "generate", short)

    with pytest.raises(ModelError, match=f"not enough memory {said} .tried to allocate 20 MiB"):
        WhisperTranscriber(checkpoint).transcribe([noise(1.0)] * recordings, language="en")
