"""Clients as people have them, against the real daemon with the demo model; and every snippet of docs/clients.md."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import openai
import pytest
import soundfile
import trustme
from openai import AsyncOpenAI

from clients.demo.synthesise import CLIP, UTTERANCES
from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE, Samples
from tests.certificates import issue
from tests.daemon import Ports, daemon
from tests.digits import SPEAKERS, WORDS, errors, needs_recordings, say

pytestmark = pytest.mark.timeout(180)

NODE_MODULES = Path(__file__).parent / "outside" / "node_modules"
DOCUMENT = Path(__file__).parents[1] / "docs" / "clients.md"
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def recognizer() -> WhisperRecognizer:
    return WhisperRecognizer.load("demo", device="cpu", threads=1)


@pytest.fixture
async def ports(recognizer: WhisperRecognizer) -> AsyncIterator[Ports]:
    """Run a daemon; yield where it is."""
    async with daemon(recognizer) as bound:
        yield bound


@pytest.fixture
def port(ports: Ports) -> int:
    """The daemon's port."""
    return ports.http


@pytest.fixture
async def sdk(port: int) -> AsyncIterator[AsyncOpenAI]:
    """The vendor's own client, pointed here."""
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0) as client:
        yield client


def program(kind: str, code: str, folder: Path) -> list[str]:
    """Return the command that runs a snippet in a folder; skip where what it needs is not installed."""
    if kind == "python":
        return [sys.executable, "-c", code]
    if kind == "sh":
        if not shutil.which("curl"):
            pytest.skip("curl is not installed")
        return ["sh", "-c", code]
    assert kind == "js", f"snippets in {kind} cannot be run"
    if not ((NODE_MODULES / ".installed").exists() and shutil.which("node")):
        pytest.skip("tests/outside/node_modules is not set up: make clients")
    (folder / "node_modules").symlink_to(NODE_MODULES)
    (folder / "snippet.mjs").write_text(code)
    return ["node", "snippet.mjs"]


def as_file(audio: Samples, form: str = "WAV") -> tuple[str, bytes]:
    data = io.BytesIO()
    soundfile.write(data, audio, SAMPLE_RATE, format=form)
    return f"speech.{form.lower()}", data.getvalue()


def words_of(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z]+", text.lower()) if word in WORDS]


def wrong(text: str, said: Sequence[str]) -> int:
    return errors(words_of(text), list(said))


@pytest.mark.parametrize(("kind", "code"), SNIPPETS)
async def test_a_snippet_of_the_documentation_does_what_it_says(recognizer, tmp_path, kind, code):
    audio, rate = soundfile.read(CLIP)
    soundfile.write(tmp_path / "speech.wav", audio, rate)
    papers = issue(tmp_path, trustme.CA())
    pair = {"tls_certificate": papers.certificate, "tls_key": papers.key} if "https://127" in code else {}
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment["NODE_EXTRA_CA_CERTS"] = str(papers.authority)
    async with daemon(recognizer, **pair) as ports:
        code = code.replace("127.0.0.1:8765", f"127.0.0.1:{ports.http}")
        code = code.replace('"127.0.0.1", 10300', f'"127.0.0.1", {ports.wyoming}')
        running = await asyncio.create_subprocess_exec(
            *program(kind, code, tmp_path),
            cwd=tmp_path,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaints = await running.communicate()

    assert running.returncode == 0, complaints.decode()
    said = words_of(" ".join(text for _, _, text in UTTERANCES))
    assert wrong(output.decode(), said) <= 2, output.decode()


@needs_recordings
@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
async def test_openai_python_gets_the_words_of_a_recording(sdk, form):
    said = say("jackson", 15, seed=3)
    found = await sdk.audio.transcriptions.create(model="whisper-1", file=as_file(said.audio, form))

    assert wrong(found.text, said.words) <= 1, found.text


@needs_recordings
@pytest.mark.parametrize("speaker", SPEAKERS)
async def test_openai_python_gets_words_and_segments_where_they_were_spoken(sdk, speaker):
    said = say(speaker, 15, seed=3)
    found = await sdk.audio.transcriptions.create(
        model="whisper-1",
        file=as_file(said.audio),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )

    assert (found.task, found.language) == ("transcribe", "english")
    assert found.duration == pytest.approx(len(said.audio) / SAMPLE_RATE, abs=0.001)
    assert wrong(found.text, said.words) <= 2, found.text
    assert "".join(segment.text for segment in found.segments).strip() == found.text
    times = [time for word in found.words for time in (word.start, word.end)]
    assert times == sorted(times)
    if len(found.words) == len(said.spans):
        starts = [abs(w.start - start / SAMPLE_RATE) for w, (start, _) in zip(found.words, said.spans, strict=True)]
        assert np.median(starts) < 0.15


@needs_recordings
async def test_openai_python_gets_subtitles_and_text(sdk):
    said = say("george", 15, seed=3)
    file = as_file(said.audio)
    found = {
        kind: await sdk.audio.transcriptions.create(model="whisper-1", file=file, response_format=kind)
        for kind in ("text", "srt", "vtt")
    }

    assert found["vtt"].startswith("WEBVTT\n\n")
    assert found["srt"].startswith("1\n00:00:0")
    assert words_of(found["srt"]) == words_of(found["vtt"]) == words_of(found["text"])


@needs_recordings
async def test_openai_python_hears_events_that_add_up(sdk):
    said = say("jackson", 15, seed=3)
    stream = await sdk.audio.transcriptions.create(model="whisper-1", file=as_file(said.audio), stream=True)
    events = [event async for event in stream]
    whole = await sdk.audio.transcriptions.create(model="whisper-1", file=as_file(said.audio))

    assert len(events) > 2
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == whole.text
    assert events[-1].type == "transcript.text.done"


@needs_recordings
async def test_the_same_recording_gives_the_same_words_whoever_else_is_served(sdk):
    said = [say(speaker, 10, seed=5) for speaker in SPEAKERS]
    alone = [await sdk.audio.transcriptions.create(model="a", file=as_file(one.audio)) for one in said]
    together = await asyncio.gather(
        *(sdk.audio.transcriptions.create(model="a", file=as_file(one.audio)) for one in said)
    )

    assert [found.text for found in together] == [found.text for found in alone]


async def test_openai_python_finds_models(sdk):
    listed = [model.id async for model in sdk.models.list()]

    assert "whisper-1" in listed
    assert [(await sdk.models.retrieve(name)).id for name in listed] == listed


async def test_openai_python_raises_its_own_exceptions(sdk):
    silent = as_file(np.zeros(SAMPLE_RATE, np.float32))
    with pytest.raises(openai.BadRequestError) as unreadable:
        await sdk.audio.transcriptions.create(model="a", file=("a.m4a", b"nonsense"))
    with pytest.raises(openai.BadRequestError) as unknown:
        await sdk.audio.transcriptions.create(model="a", file=silent, response_format="diarized_json")
    with pytest.raises(openai.NotFoundError) as missing:
        await sdk.models.retrieve("nothing")

    assert (unreadable.value.code, unreadable.value.param) == ("unsupported_format", "file")
    assert (unknown.value.code, unknown.value.param) == ("invalid_value", "response_format")
    assert missing.value.code == "model_not_found"
    assert (await sdk.audio.transcriptions.create(model="a", file=silent)).text == ""


def test_every_named_snippet_of_the_documentation_is_what_a_program_here_runs():
    named = re.findall(r"^```(\w+) (\S+)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    programs = {"python": "*.py", "js": "*.mjs"}
    for language, name in named:
        texts = [path.read_text() for path in NODE_MODULES.parent.glob(programs[language])]
        family = name.rpartition("-")[0]  # livekit-openai: the program is told which
        assert any(f'"{name}"' in text or f"'{name}'" in text or f'f"{family}-{{' in text for text in texts), name
    assert len(named) == 8
