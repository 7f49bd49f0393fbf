"""The captions page in a real browser, against a real daemon: spoken digits become words, and words become files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from model.recognizer import WhisperRecognizer
from streamer.config import CommitPolicyName, Config, ServerConfig, SessionConfig
from streamer.server import Server
from tests.browser.desk import violations
from tests.digits import errors, needs_recordings

pytestmark = [needs_recordings, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

LOG_CHANGES = """
window.changes = [];
document.addEventListener("DOMContentLoaded", () => {
  const text = (kind) => [...document.querySelectorAll(`#captions .${kind}`)].map((one) => one.textContent);
  new MutationObserver(() => changes.push({ commits: text("commit"), partial: text("partial").join("") })).observe(
    document.getElementById("captions"),
    { childList: true, subtree: true, characterData: true },
  );
});
"""


@pytest_asyncio.fixture(loop_scope="session")
async def address() -> AsyncIterator[str]:
    """Run a daemon; yield the page's address."""
    recognizer = WhisperRecognizer.load("demo", device="cpu", threads=1)
    # Words as clear as these are often committed at first sight; agreement shows each as a partial first.
    session = SessionConfig(commit_policy=CommitPolicyName.AGREEMENT)
    server = Server(Config(server=ServerConfig(port=0, drain_timeout_s=0), session=session), recognizer, {})
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(lambda _: ready.set()))
        await ready.wait()
        yield f"http://127.0.0.1:{server.port}/"
        server.stop()


def words(text: str) -> list[str]:
    return text.split()


async def committed(page) -> list[str]:
    return words(" ".join(await page.locator("#captions .utterance").evaluate_all(TEXTS)))


TEXTS = "all => all.map(one => [...one.querySelectorAll('.commit')].map(commit => commit.textContent).join(''))"
HAS_WORDS = "count => document.querySelector('#captions').textContent.trim().split(/\\s+/).length >= count"
HAS_COMMITS = "count => document.querySelectorAll('#captions .commit').length >= count"


async def saved(page, kind: str, folder: Path) -> str:
    async with page.expect_download() as started:
        await page.click(f"[data-format={kind}]")
    download = await started.value
    assert download.suggested_filename.endswith(f".{kind}")
    await download.save_as(folder / f"captions.{kind}")
    return (folder / f"captions.{kind}").read_text(encoding="utf-8")


async def test_a_speaker_and_an_audience(desk, said, address, tmp_path):
    import srt
    import webvtt

    speaker = await desk.page(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    await speaker.add_init_script(LOG_CHANGES)
    await speaker.goto(address)
    await speaker.click("#start")
    await speaker.wait_for_selector("[data-state=live]")
    assert await speaker.text_content("#model") == "demo"

    # A second page watches live.
    shared = await speaker.input_value("#share-address")
    assert shared.startswith(f"{address}captions/")
    viewer = await desk.page(viewport={"width": 800, "height": 450})
    await viewer.goto(shared)
    await viewer.wait_for_function(HAS_COMMITS, arg=1)

    # A reload in the middle of speech shows what was committed.
    await speaker.wait_for_function(HAS_COMMITS, arg=2)
    before = await committed(speaker)
    await viewer.reload()
    await viewer.wait_for_function(HAS_COMMITS, arg=len(before))
    assert (await committed(viewer))[: len(before)] == before
    assert len(before) < len(said.words), "the speech was over before the page was loaded again"
    assert "behind" in await speaker.text_content("#lag")

    await speaker.wait_for_function(HAS_WORDS, arg=len(said.words))
    await speaker.click("#start")
    await speaker.wait_for_selector("[data-state=idle]")

    heard = await committed(speaker)
    assert errors(heard, list(said.words)) <= 1, heard
    assert await speaker.locator("#captions .partial").count() == 0
    await viewer.wait_for_selector("[data-state=ended]")
    assert await committed(viewer) == heard

    # Partials turned into commits, which only ever grew.
    changes = await speaker.evaluate("changes")
    for earlier, later in pairwise(changes):
        assert later["commits"][: len(earlier["commits"])] == earlier["commits"]
    guesses = [
        ("".join(change["commits"]) + change["partial"]).strip() for change in changes if change["partial"].strip()
    ]
    assert any("".join(changes[-1]["commits"]).startswith(guess) for guess in guesses), changes

    # The files are what was said.
    text = await saved(speaker, "txt", tmp_path)
    written = await saved(speaker, "srt", tmp_path)
    subtitles = list(srt.parse(written, ignore_errors=False))
    session = shared.rpartition("/")[2]
    fetched = await speaker.evaluate("path => fetch(path).then(answer => answer.text())", f"/v1/sessions/{session}.srt")
    assert written == fetched
    await saved(speaker, "vtt", tmp_path)
    captions = webvtt.read(tmp_path / "captions.vtt").captions
    assert words(text) == heard
    assert words(" ".join(cue.content for cue in subtitles)) == heard
    assert words(" ".join(cue.text for cue in captions)) == heard
    assert all(earlier.end <= later.start for earlier, later in pairwise(subtitles))
    assert all(len(line) <= 42 for cue in subtitles for line in cue.content.splitlines())

    # And nobody is kept out.
    assert await violations(speaker) == []
    assert await violations(viewer) == []
    assert any(url.startswith("ws://127.0.0.1:") for url in desk.addresses)
