"""Clients that cannot live in one environment with this tree, each in a process of its own, against the real daemon.

`make clients` sets their environments up.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import soundfile
import trustme

from model.recognizer import WhisperRecognizer
from model.types import SAMPLE_RATE
from tests.certificates import issue
from tests.daemon import daemon
from tests.digits import WORDS, Spoken, errors, needs_recordings, say

ROOT = Path(__file__).parents[1]
OUTSIDE = ROOT / "tests" / "outside"
ENVIRONMENTS = {
    "newer": (ROOT / ".venv-clients", "bin/python"),
    "older": (ROOT / ".venv-clients-older", "bin/python"),
    "node": (OUTSIDE / "node_modules", ""),
}
"""Where each is, and the interpreter in it; `node` is the system's."""
PROGRAMS = (
    "newer openai_agents.py",
    "newer livekit_stt.py openai",
    "newer livekit_stt.py deepgram",
    "newer pipecat_stt.py openai",
    "newer pipecat_stt.py deepgram",
    "older openai_beta.py",
    "older deepgram_3.py",
    "node openai_http.mjs",
    "node openai_realtime.mjs",
    "node deepgram_5.mjs",
    "node deepgram_3.mjs",
)
OVER_TLS = frozenset({"openai_http.mjs", "openai_realtime.mjs"})
PATIENCE_S = 120

pytestmark = [needs_recordings, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Place:
    """Where the daemon is, with TLS and without, and what is said to it."""

    plain: int
    secure: int
    said: Spoken
    recording: Path
    environment: Mapping[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Run one daemon without TLS and one with it, on one model."""
    folder = tmp_path_factory.mktemp("outside")
    papers = issue(folder, trustme.CA())
    said = say("jackson", 10, seed=8)
    soundfile.write(folder / "speech.wav", said.audio, SAMPLE_RATE)
    own = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    recognizer = WhisperRecognizer.load("demo", device="cpu", threads=1)
    async with (
        daemon(recognizer) as plain,
        daemon(recognizer, tls_certificate=papers.certificate, tls_key=papers.key) as secure,
    ):
        trusting = own | {"NODE_EXTRA_CA_CERTS": str(papers.authority)}
        yield Place(plain.http, secure.http, said, folder / "speech.wav", trusting)


def interpreter(kind: str) -> str:
    """Return what runs the programs of an environment; skip where it is not set up."""
    folder, python = ENVIRONMENTS[kind]
    found = str(folder / python) if python else shutil.which("node")
    if not (folder / ".installed").exists() or found is None:
        pytest.skip(f"{folder.relative_to(ROOT)} is not set up: make clients")
    return found


def words_of(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z]+", text.lower()) if word in WORDS]


async def heard(running: asyncio.subprocess.Process, enough: int) -> str:
    """Return what a program prints; it is told, by the end of its input, when all words are there."""
    text = ""
    async for line in running.stdout:
        text += line.decode()
        if len(words_of(text)) >= enough:
            running.stdin.close()
    return text


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_client_gets_the_words_that_were_spoken(place, program):
    kind, script, *options = program.split()
    port = place.secure if script in OVER_TLS else place.plain
    running = await asyncio.create_subprocess_exec(
        interpreter(kind),
        OUTSIDE / script,
        str(port),
        place.recording,
        *options,
        env=place.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            text, complaints, _ = await asyncio.gather(
                heard(running, len(place.said.words)), running.stderr.read(), running.wait()
            )
    except TimeoutError:
        running.kill()
        await running.communicate()
        raise

    assert running.returncode == 0, complaints.decode()[-2000:]
    assert errors(words_of(text), list(place.said.words)) <= 1, text
