"""A page whose connection is lost in the middle of speech, and those who read along: no word lost, none twice.

The microphone is a stand-in that hears what a test says, at once; the daemon's recognizer reads it to the sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.types import Samples
from streamer.config import Config, JournalConfig
from streamer.server import Server
from tests.browser.desk import Desk
from tests.clients.proxy import Proxy, proxied
from tests.streamer.harness import running, s16, sentence, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

WORDS = [[1, 2, 3, 4], [5, 6], [7, 8, 9], [10, 11, 12, 13, 14]]
SPEECH = np.concatenate([sentence(*words) for words in WORDS])
SAID = " ".join(f"w{word}" for words in WORDS for word in words)
MORE = sentence(1, 2)
IN_SPEECH = [9_000, 33_333, 60_001]

MICROPHONE = """
export class MicrophoneError extends Error {}
export const hasMicrophones = () => true;
export const listMicrophones = async () => [];
export class Microphone {
  static async open(deviceId, take, lost) {
    window.say = (listed) => {
      const samples = typeof listed === "string" ? listed.split(",") : listed;
      for (let at = 0; at < samples.length; at += 800) take(Int16Array.from(samples.slice(at, at + 800)));
    };
    return new Microphone();
  }
  async resume() {}
  async close() {}
}
"""
RECORD = """
window.states = [];
window.removed = [];
document.addEventListener("DOMContentLoaded", () => {
  new MutationObserver(() => states.push(document.body.dataset.state)).observe(document.body, { attributes: true });
  new MutationObserver((changes) => {
    for (const { removedNodes } of changes)
      for (const node of removedNodes) if (node.className === "commit") removed.push(node.textContent);
  }).observe(document.getElementById("captions"), { childList: true, subtree: true });
});
"""
SHOWN = """() => [...document.querySelectorAll("#captions .utterance")]
    .map((one) => [...one.querySelectorAll(".commit")].map((commit) => commit.textContent).join("")).join(" ")"""
SHOWS = f"text => ({SHOWN})() === text"
NOTES = "() => [...document.querySelectorAll('#captions .note')].map((note) => note.textContent)"


@dataclass
class Speaker:
    """The speaker's page."""

    page: Any
    said: int = 0

    async def say(self, upto: int, audio: Samples = SPEECH) -> None:
        """Speak up to a sample."""
        samples = np.frombuffer(s16(audio), "<i2")[self.said : upto]
        await self.page.evaluate("samples => say(samples)", ",".join(map(str, samples)))  # a list goes number by number
        self.said = upto

    async def stop(self) -> None:
        await self.page.click("#start")
        await self.page.wait_for_selector("[data-state=idle]")

    async def return_at_once(self) -> None:
        """Let the browser say that there is a network again; a page whose pause was over has come back by itself."""
        await self.page.evaluate("dispatchEvent(new Event('online'))")

    async def session(self) -> str:
        return (await self.page.input_value("#share-address")).rpartition("/")[2]


@asynccontextmanager
async def speaking(desk: Desk, proxy: Proxy) -> AsyncIterator[Speaker]:
    desk.expected = ("WebSocket connection", "404", "Failed to load resource")
    page = await desk.page()
    await page.route(
        "**/pages/microphone.js", lambda route: route.fulfill(body=MICROPHONE, content_type="text/javascript")
    )
    await page.add_init_script(RECORD)
    await page.goto(f"http://127.0.0.1:{proxy.listening}/")
    await page.click("#start")
    await page.wait_for_selector("[data-state=live]")
    yield Speaker(page)
    await page.close()


async def viewing(desk: Desk, port: int, session: str) -> Any:
    page = await desk.page()
    await page.add_init_script(RECORD)
    await page.goto(f"http://127.0.0.1:{port}/captions/{session}")
    await page.wait_for_selector("[data-state=live]")
    return page


def received(server: Server, session: str) -> int:
    """Samples of a session that its daemon has."""
    return server._lobby._seats[session]._codec.received


async def test_cuts_in_the_middle_of_speech_are_not_seen_in_the_text_by_anybody(desk):
    async with running() as server, proxied(server.port) as proxy, speaking(desk, proxy) as speaker:
        session = await speaker.session()
        viewer = await viewing(desk, server.port, session)
        for cut in IN_SPEECH:
            await speaker.say(cut)
            await until(lambda: received(server, session) > speaker.said - 1600)
            proxy.port = 0
            proxy.reset()
            await speaker.page.wait_for_selector("[data-state=waiting]")
            await speaker.say(cut + 8_000)  # nobody hears it yet
            proxy.port = server.port
            await speaker.return_at_once()
            await speaker.page.wait_for_selector("[data-state=live]")
        await speaker.say(len(SPEECH))
        await speaker.page.wait_for_function(SHOWS, arg=SAID)
        assert await viewer.evaluate("states.filter((state) => state !== 'live')") == []
        await speaker.stop()

        assert proxy.cuts == len(IN_SPEECH)
        assert await speaker.session() == session
        await viewer.wait_for_selector("[data-state=ended]")
        for page in (speaker.page, viewer):
            assert await page.evaluate(SHOWN) == SAID
            assert await page.evaluate("removed") == []
            assert await page.evaluate(NOTES) == []
        path = f"/v1/sessions/{session}.txt"
        written = await viewer.evaluate("path => fetch(path).then((answer) => answer.text())", path)
        assert " ".join(written.split()) == SAID


def journalled(path: Path) -> Config:
    return Config(journal=JournalConfig(path / "journal.sqlite"))


async def test_captions_go_on_with_the_next_daemon_and_their_audience_stays(desk, tmp_path):
    config, cut = journalled(tmp_path), 33_333
    async with proxied(0) as proxy, proxied(0) as hers, asyncio.timeout(90):
        async with running(config=config) as server:
            proxy.port = server.port
            entered = speaking(desk, proxy)
            speaker = await entered.__aenter__()
            session = await speaker.session()
            hers.port = server.port
            viewer = await viewing(desk, hers.listening, session)
            await speaker.say(cut // 2)
            await viewer.wait_for_function("() => document.querySelectorAll('.commit').length > 0")
            hers.port = 0
            hers.reset()
            await viewer.wait_for_selector("[data-state=lost]")
            await speaker.say(cut)  # of which the viewer hears nothing
            await speaker.page.wait_for_function("() => document.querySelectorAll('.commit').length > 2")
            proxy.port = 0
        await speaker.page.wait_for_selector("[data-state=waiting]")
        await speaker.say(cut + 8_000)
        async with running(config=config) as server:
            proxy.port = hers.port = server.port
            await speaker.return_at_once()
            await speaker.page.wait_for_selector("[data-state=live]")
            await viewer.evaluate("dispatchEvent(new Event('online'))")
            await viewer.wait_for_selector("[data-state=live]")
            await speaker.say(len(SPEECH))
            await speaker.page.wait_for_function(SHOWS, arg=SAID)
            await viewer.wait_for_function(SHOWS, arg=SAID)
            assert "ended" not in await viewer.evaluate("states")
            await speaker.stop()

            assert await speaker.page.evaluate(SHOWN) == SAID
            assert await speaker.session() == session
            for page in (speaker.page, viewer):
                assert await page.evaluate(NOTES) == []
                assert await page.evaluate("removed") == []
            await entered.__aexit__(None, None, None)
            await viewer.close()


async def test_what_is_lost_beyond_a_minute_is_one_gap_for_the_speaker_and_for_the_audience(desk):
    async with running() as server, proxied(server.port) as proxy, speaking(desk, proxy) as speaker:
        session = await speaker.session()
        viewer = await viewing(desk, server.port, session)
        first = len(SPEECH)
        await speaker.say(first)
        await speaker.page.wait_for_function(SHOWS, arg=SAID)
        await until(lambda: received(server, session) == first)
        proxy.port = 0
        proxy.reset()
        await speaker.page.wait_for_selector("[data-state=waiting]")
        await speaker.page.evaluate("say(new Int16Array(75 * 16000))")
        proxy.port = server.port
        await speaker.return_at_once()
        await speaker.page.wait_for_selector("[data-state=live]")
        speaker.said = 0
        await speaker.say(len(MORE), MORE)
        for page in (speaker.page, viewer):
            await page.wait_for_function(SHOWS, arg=f"{SAID} w1 w2")
            # Of the minute that is kept, five seconds are left for the way.
            assert await page.evaluate(NOTES) == ["20 s not transcribed"]
        assert await speaker.session() == session
        await speaker.stop()


async def test_a_daemon_that_does_not_know_the_session_gets_a_new_one_and_no_word_is_lost(desk):
    cut = 33_333
    async with proxied(0) as proxy:
        async with running() as server:
            proxy.port = server.port
            entered = speaking(desk, proxy)
            speaker = await entered.__aenter__()
            session = await speaker.session()
            await speaker.say(cut)
            await speaker.page.wait_for_function("() => document.querySelectorAll('.commit').length > 1")
            proxy.port = 0
            proxy.reset()
            await speaker.page.wait_for_selector("[data-state=waiting]")
            server.admission.cut()
        async with running() as server:
            proxy.port = server.port
            await speaker.return_at_once()
            await speaker.page.wait_for_selector("[data-state=live]")
            await speaker.say(len(SPEECH))
            await speaker.stop()

            assert await speaker.page.evaluate(SHOWN) == SAID
            assert await speaker.page.evaluate(NOTES) == []
            assert await speaker.session() != session
            await entered.__aexit__(None, None, None)


async def test_what_is_said_after_stop_and_start_is_another_talk_on_the_page_and_in_the_files(desk):
    async with running() as server, proxied(server.port) as proxy, speaking(desk, proxy) as speaker:
        page = speaker.page
        for talk in (([1, 2], [3, 4]), ([5, 6], [7, 8])):
            if speaker.said:
                await page.click("#start")
                await page.wait_for_selector("[data-state=live]")
            audio = np.concatenate([sentence(*words) for words in talk])
            speaker.said = 0
            await speaker.say(len(audio), audio)
            await speaker.stop()

        said = ["w1 w2", "w3 w4", "w5 w6", "w7 w8"]
        assert await page.locator("#captions .utterance").all_text_contents() == said
        async with page.expect_download() as started:
            await page.click("[data-format=txt]")
        assert (await (await started.value).path()).read_text().splitlines() == said


async def test_the_newest_line_stays_in_sight_when_the_text_becomes_larger_or_smaller(desk):
    below = "(({scrollTop, scrollHeight, clientHeight}) => scrollHeight - clientHeight - scrollTop)($('#captions'))"
    async with running() as server, proxied(server.port) as proxy, speaking(desk, proxy) as speaker:
        page = speaker.page
        await page.set_viewport_size({"width": 600, "height": 400})
        await speaker.say(len(SPEECH))
        await page.wait_for_function(SHOWS, arg=SAID)
        await page.evaluate("window.$ = (name) => document.querySelector(name)")
        for button in ["#larger"] * 8 + ["#smaller"] * 3:
            await page.click(button)
            assert await page.evaluate(below) < 1
        assert await page.evaluate("$('#captions').scrollTop") > 0, "there is more text than room"
