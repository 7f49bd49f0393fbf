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
from model.errors import ModelError
from model.files.hub import demo_folder
from model.generation.long_form import Transcription
from model.transcriber import WhisperTranscriber
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
