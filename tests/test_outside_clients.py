"""Clients that cannot live in one environment with this tree, each in a process of its own, against the real daemon."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import soundfile

from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE
from streamer.config import Config, ServerConfig
from streamer.server import serve
from tests.digits import WORDS, errors, needs_recordings, say

ROOT = Path(__file__).parents[1]
OUTSIDE = ROOT / "tests" / "outside"
NEWER = Path(os.environ.get("STREAMER_CLIENTS_PYTHON", ROOT / ".venv-clients" / "bin" / "python"))
OLDER = Path(os.environ.get("STREAMER_OLDER_CLIENTS_PYTHON", ROOT / ".venv-clients-older" / "bin" / "python"))
"""The environments of tests/outside/newer.txt and older.txt."""
PATIENCE_S = 90

pytestmark = [needs_recordings, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def recognizer() -> WhisperRecognizer:
    return WhisperRecognizer.load("demo", device="cpu", threads=1)


@pytest.fixture
async def port(recognizer: WhisperRecognizer) -> AsyncIterator[int]:
    """Run a daemon; yield its port."""
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    config = Config(server=ServerConfig(port=0, drain_timeout_s=0))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve(config, recognizer, on_ready=bound.set_result))
        yield await bound
        task.cancel()


@pytest.mark.parametrize(
    ("python", "program"),
    [
        (NEWER, "openai_agents.py"),
        (NEWER, "livekit_stt.py openai"),
        (NEWER, "livekit_stt.py deepgram"),
        (NEWER, "pipecat_stt.py openai"),
        (NEWER, "pipecat_stt.py deepgram"),
        (OLDER, "openai_beta.py"),
        (OLDER, "deepgram_3.py"),
    ],
    ids=lambda given: given if isinstance(given, str) else given.parents[1].name,
)
async def test_a_client_gets_the_words_that_were_spoken(port, tmp_path, python, program):
    if not python.exists():
        pytest.skip(f"{python} is not there; see tests/outside")
    said = say("jackson", 10, seed=8)
    recording = tmp_path / "speech.wav"
    soundfile.write(recording, said.audio, SAMPLE_RATE)
    script, *options = program.split()
    running = await asyncio.create_subprocess_exec(
        python,
        OUTSIDE / script,
        str(port),
        recording,
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            output, complaints = await running.communicate()
    except TimeoutError:
        running.kill()
        await running.communicate()
        raise

    assert running.returncode == 0, complaints.decode()[-2000:]
    heard = [word for word in output.decode().lower().split() if word.strip(".,") in WORDS]
    assert errors([word.strip(".,") for word in heard], list(said.words)) <= 1, output.decode()
