"""What can go wrong at a speaker's page, and what it says then. The server is a stand-in where it must fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from streamer.config import ServerConfig
from tests.browser.desk import violations
from tests.clients.proxy import proxied
from tests.streamer.harness import running

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAILING = """name => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", name));
}"""
BYTES_PER_SECOND = 32_000


class Stream:
    """A server's side of one connection of a page."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._grown = asyncio.Event()
        self.audio = bytearray()
        self.texts: list[dict[str, Any]] = []
        socket.on_message(self._take)

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.texts.append(json.loads(message))
        else:
            self.audio += message
        self._grown.set()

    async def until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self._grown.clear()
            await self._grown.wait()

    def tell(self, **message: Any) -> None:
        self._socket.send(json.dumps(message))

    async def greet(self, **more: Any) -> None:
        await self.until(lambda: bool(self.texts))
        self.tell(type="ready", session="0123456789abcdef", model="demo", sample_rate=16_000, **more)

    async def close(self, code: int) -> None:
        await self._socket.close(code=code)


class Streams:
    """The connections of a page, in order."""

    def __init__(self) -> None:
        self._opened: asyncio.Queue[Stream] = asyncio.Queue()

    def answer(self, socket: Any) -> None:
        self._opened.put_nowait(Stream(socket))

    async def next(self) -> Stream:
        return await self._opened.get()


async def opened(desk: Any, address: str, **options: Any) -> tuple[Any, Streams]:
    page, streams = await desk.page(**options), Streams()
    await page.route_web_socket("**/v1/stream", streams.answer)
    await page.goto(address)
    return page, streams


async def notice(page: Any) -> str:
    await page.wait_for_selector("#notice:not([hidden])")
    return await page.text_content("#notice")


async def test_a_microphone_that_cannot_be_had_is_explained(desk, quiet):
    page = await desk.page()
    await page.goto(quiet)
    for name, words in {
        "NotAllowedError": "not allowed",
        "NotFoundError": "No microphone was found",
        "NotReadableError": "another program",
        "SomethingElse": "cannot be opened: no",
    }.items():
        await page.evaluate(FAILING, name)
        await page.click("#start")
        await page.wait_for_function(
            "words => document.querySelector('#notice').textContent.includes(words)", arg=words
        )
        assert await page.get_attribute("body", "data-state") == "idle"
    assert await violations(page) == []


async def test_a_page_that_is_not_secure_says_what_to_do(desk, quiet):
    page = await desk.page()
    await page.goto(quiet.replace("127.0.0.1", "elsewhere.test"))
    await page.click("#start")

    assert "open this one over https" in await notice(page)


async def test_a_lost_connection_costs_no_audio_after_the_last_commit(desk, quiet):
    page, streams = await opened(desk, quiet)
    await page.click("#start")
    first = await streams.next()
    await first.greet()
    assert first.texts[0] == {
        "type": "start",
        "sample_rate": 16_000,
        "encoding": "pcm_s16le",
        "language": None,
        "task": "transcribe",
        "resumable": True,
    }
    await first.until(lambda: len(first.audio) > 0.6 * BYTES_PER_SECOND)
    words = [{"text": "one", "start": 0.1, "end": 0.21, "probability": 1}]
    first.tell(type="commit", id=1, utterance=1, text="one", start=0.1, end=0.21, words=words)
    first.tell(type="partial", utterance=1, text=" tw", start=0.3, end=0.5)
    await page.wait_for_selector(".partial")
    await first.close(1012)

    assert "The server restarts; trying again" in await notice(page)
    assert await page.text_content("#captions") == "one"
    second = await streams.next()
    await second.greet()
    await page.wait_for_selector("[data-state=live]")
    await second.until(lambda: len(second.audio) > len(first.audio))
    resumed = round(0.21 * BYTES_PER_SECOND)
    assert second.audio.startswith(first.audio[resumed:])

    words = [{"text": "two", "start": 1.5, "end": 1.6, "probability": 1}]
    second.tell(type="commit", id=1, utterance=1, text="two", start=1.5, end=1.6, words=words)
    await page.wait_for_function("() => document.querySelector('#captions').textContent === 'one two'")
    assert await page.locator("#notice").is_hidden()
    await page.click("#start")
    await second.until(lambda: second.texts[-1] == {"type": "stop"})
    second.tell(type="done", audio=1, commits=1)
    await second.close(1000)
    await page.wait_for_selector("[data-state=idle]")
    async with page.expect_download() as started:
        await page.click("[data-format=vtt]")
    assert "00:00:01.710 --> " in (await (await started.value).path()).read_text(), "times go on where they were"


async def test_a_session_is_resumed_with_what_is_asked_for_and_what_is_told_again_is_not_shown_again(desk, quiet):
    page, streams = await opened(desk, quiet)
    token = {"resume_token": "secret", "epoch": "e1"}
    one = {"type": "commit", "id": 1, "utterance": 1, "text": "one", "start": 0.1, "end": 0.3}
    two = {"type": "commit", "id": 2, "utterance": 1, "text": " two", "start": 0.3, "end": 0.45}
    final = {"type": "final", "utterance": 1, "text": "one two", "start": 0, "end": 0.5, "language": "en"}
    gap = {"type": "gap", "start": 0.5, "end": 2.5, "reason": "lost"}
    await page.click("#start")
    first = await streams.next()
    await first.greet(**token, resume_from=0)
    await first.until(lambda: len(first.audio) > 0.6 * BYTES_PER_SECOND)
    first.tell(**one)
    first.tell(type="ack", received=9_600, committed=4_801)
    first.tell(**two)
    await page.wait_for_function("() => document.querySelector('#captions').textContent === 'one two'")
    await first.close(1001)

    second = await streams.next()
    await second.until(lambda: bool(second.texts))
    claim = {"session": "0123456789abcdef", "token": "secret", "epoch": "e1"}
    assert second.texts[0]["resume"] == claim | {"have": 2, "covered": 7_200, "first": 7_200}
    await second.greet(**token, resume_from=8_123)  # in the middle of a frame
    sent_before = first.audio[2 * 8_123 :]  # more than a second where the machine is busy
    await second.until(lambda: len(second.audio) > max(BYTES_PER_SECOND, len(sent_before)))
    assert second.audio.startswith(sent_before)
    for message in (two, final, gap, final, gap):
        second.tell(**message)
    second.tell(type="commit", id=3, utterance=2, text="three", start=2.6, end=2.9)
    await page.wait_for_function("() => document.querySelector('#captions').textContent.endsWith('three')")
    assert await page.locator("#captions p").all_text_contents() == ["one two", "2 s not transcribed", "three"]

    second.tell(type="error", code="taken_over", message="the session goes on over a newer connection")
    await second.close(4409)
    await page.wait_for_selector("[data-state=idle]")
    assert "another connection has them" in await notice(page)


async def test_a_full_server_is_asked_again(desk, quiet):
    page, streams = await opened(desk, quiet)
    await page.click("#start")
    full = await streams.next()
    full.tell(type="error", code="busy", message="all 64 sessions are taken; try later")
    await full.close(1013)
    assert "The server is full; trying again" in await notice(page)

    await (await streams.next()).greet()
    await page.wait_for_selector("[data-state=live]")


async def test_an_objection_of_the_server_is_shown_and_ends_it(desk, quiet):
    page, streams = await opened(desk, quiet)
    await page.click("#start")
    stream = await streams.next()
    stream.tell(type="error", code="bad_value", message="language must be one of de, en, got 'xx'")
    await stream.close(1008)
    await page.wait_for_selector("[data-state=idle]")

    assert "language must be one of de, en, got 'xx'" in await notice(page)


async def test_a_token_is_asked_for_kept_for_the_tab_and_in_no_address(desk):
    desk.expected = ("401",)
    async with running(ServerConfig(port=0, token="open-sesame")) as server:
        page = await desk.page()
        await page.goto(f"http://127.0.0.1:{server.port}/")
        await page.wait_for_selector("#access:not([hidden])")
        assert await violations(page) == []
        await page.fill("#token", "wrong")
        await page.keyboard.press("Enter")
        assert "does not know this token" in await notice(page)
        await page.fill("#token", "ä b")
        await page.keyboard.press("Enter")
        await page.wait_for_function(
            "() => document.querySelector('#notice').textContent.includes('another character')"
        )
        await page.fill("#token", "open-sesame")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#access", state="hidden")
        await page.reload()
        await page.click("#start")
        await page.wait_for_selector("[data-state=live]")
        assert await page.locator("#access").is_hidden()
        assert "sesame" not in await page.evaluate("JSON.stringify(localStorage)")
        await page.click("#share")
        assert await page.locator("#share-token").is_visible()
        assert await violations(page) == []
        await page.close()

    assert [url for url in desk.addresses if "sesame" in url] == []


async def test_a_token_is_used_in_a_browser_that_stores_nothing(desk):
    desk.expected = ("401",)
    async with running(ServerConfig(port=0, token="open-sesame")) as server:
        page = await desk.page()
        await page.add_init_script(
            "for (const name of ['sessionStorage', 'localStorage'])"
            "  Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } });"
        )
        await page.goto(f"http://127.0.0.1:{server.port}/")
        await page.fill("#token", "open-sesame")
        await page.click("#access button")
        await page.wait_for_selector("#access", state="hidden")
        await page.click("#start")
        await page.wait_for_selector("[data-state=live]")


async def test_a_server_that_is_away_when_somebody_presses_start_is_named_and_the_microphone_is_not_blamed(desk):
    desk.expected = ("Failed to load resource",)
    page = await desk.page()
    async with running() as server, proxied(server.port) as proxy:
        await page.goto(f"http://127.0.0.1:{proxy.listening}/")
        await page.wait_for_function("() => document.querySelector('#model').textContent")
        proxy.port = 0
        proxy.reset()
        await page.click("#start")

        assert "does the server answer?" in await notice(page)
        assert await page.get_attribute("body", "data-state") == "idle"


async def test_a_server_that_says_nothing_when_somebody_presses_start_is_not_waited_for_without_end(desk, quiet):
    page = await desk.page()
    await page.clock.install()
    await page.goto(quiet)
    await page.evaluate(
        "() => { AudioWorklet.prototype.addModule = () => { window.asked = true; return new Promise(() => {}); }; }"
    )
    await page.click("#start")
    await page.wait_for_function("() => window.asked")
    await page.clock.fast_forward(10_100)

    assert "does the server answer?" in await notice(page)
    await page.wait_for_selector("[data-state=idle]")


async def test_the_space_bar_starts_and_stops(desk, quiet):
    page, streams = await opened(desk, quiet)
    await page.focus("#start")
    await page.keyboard.press("Space")
    stream = await streams.next()
    await stream.greet()
    await page.wait_for_selector("[data-state=live]")
    await page.keyboard.press("Space")
    await page.keyboard.press("Space")  # which does nothing
    await stream.until(lambda: stream.texts[-1] == {"type": "stop"})
    assert await page.get_attribute("#start", "aria-disabled") == "true"
    stream.tell(type="done", audio=1, commits=0)
    await stream.close(1000)
    await page.wait_for_selector("[data-state=idle]")
    assert await page.evaluate("document.activeElement.id") == "start"


async def test_everything_can_be_reached_by_keyboard_and_fits_a_phone(desk, quiet):
    page, streams = await opened(desk, quiet, viewport={"width": 320, "height": 640}, has_touch=True)
    assert await violations(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    reached = []
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.id"))
        if reached[-1]:
            assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        if reached[-1] == "start" and reached.count("start") == 1:
            await page.keyboard.press("Enter")
            await (await streams.next()).greet()
            await page.wait_for_selector("[data-state=live]")
    assert {"captions", "start", "share", "smaller", "larger", "scheme", "full"} <= set(reached)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_what_was_chosen_is_asked_for_and_remembered(desk, quiet):
    page, streams = await opened(desk, quiet)
    await page.select_option("#language", "de")
    await page.select_option("#task", "translate")
    await page.click("#larger")
    size = await page.evaluate("getComputedStyle(document.querySelector('#captions')).fontSize")
    await page.reload()
    await page.wait_for_function("() => document.querySelector('#language').value === 'de'")
    await page.click("#start")
    stream = await streams.next()
    await stream.greet()

    assert (stream.texts[0]["language"], stream.texts[0]["task"]) == ("de", "translate")
    assert await page.evaluate("getComputedStyle(document.querySelector('#captions')).fontSize") == size
