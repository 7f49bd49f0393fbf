"""The page of those who read along, told by a stand-in what sessions say that no model would."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamer.config import ServerConfig
from tests.browser.desk import violations
from tests.streamer.harness import running

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME = "0123456789abcdef"
LOG_LIVE = """
window.said = [];
document.addEventListener("DOMContentLoaded", () => {
  const captions = document.getElementById("captions");
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes)
      for (const node of addedNodes)
        if (node.className === "commit") said.push([node.textContent, captions.getAttribute("aria-live")]);
  }).observe(captions, { childList: true, subtree: true });
});
"""

LOG_WAITS = """
window.waits = [];
const { setTimeout } = window;
window.setTimeout = (run, delay) => { waits.push(delay); return setTimeout(run, delay); };
"""
COUNT_LAYOUTS = """
window.layouts = 0;
const { get } = Object.getOwnPropertyDescriptor(Element.prototype, "scrollHeight");
Object.defineProperty(Element.prototype, "scrollHeight", { get() { layouts += 1; return get.call(this); } });
"""
HIDE = """
const shown = window.requestAnimationFrame;
window.hidden = [];
window.requestAnimationFrame = (draw) => hidden.push(draw);
window.show = () => { window.requestAnimationFrame = shown; hidden.forEach((draw) => draw(0)); };
"""
"""A tab that is hidden draws nothing until it is shown."""
BELOW = """() => {
  const { scrollTop, scrollHeight, clientHeight } = document.querySelector("#captions");
  return scrollHeight - clientHeight - scrollTop;
}"""
"""Pixels of the text that are below what is in sight."""


def commit(number: int, text: str, utterance: int = 1, **others: Any) -> dict[str, Any]:
    at = 0.5 * number
    return {
        "type": "commit",
        "id": number,
        "utterance": utterance,
        "text": text,
        "start": at,
        "end": at + 0.4,
        **others,
    }


def partial(text: str, utterance: int = 1, start: float = 0.0) -> dict[str, Any]:
    return {"type": "partial", "utterance": utterance, "text": text, "start": start, "end": start + 1}


def watching(*commits: dict[str, Any], **others: Any) -> dict[str, Any]:
    said = {"session": NAME, "language": "en", "started": "", "commits": list(commits)}
    return {"type": "watching"} | said | others


class Session:
    """Answers the connections of a page, one after another."""

    def __init__(self, *conversations: list[dict[str, Any] | int]) -> None:
        """Each is what a connection is told; a number closes it."""
        self._conversations = list(conversations)
        self.sockets: list[Any] = []

    async def answer(self, socket: Any) -> None:
        self.sockets.append(socket)
        for message in self._conversations.pop(0) if self._conversations else [watching()]:
            await self.tell(message)

    async def tell(self, message: dict[str, Any] | int) -> None:
        if isinstance(message, int):
            await self.sockets[-1].close(code=message)
        else:
            self.sockets[-1].send(json.dumps(message))


async def opened(
    desk: Any, quiet: str, session: Session, path: str = "", script: str = "", *, name: str = NAME, **options: Any
) -> Any:
    page = await desk.page(**options)
    if script:
        await page.add_init_script(script)
    await page.route_web_socket(f"**/v1/watch/{name}", session.answer)
    await page.goto(quiet + (path or f"captions/{name}"))
    return page


async def shown(page: Any) -> list[str]:
    return await page.locator("#captions p").all_inner_texts()


async def test_text_that_looks_like_markup_is_text(desk, quiet):
    nasty = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>&amp;"
    session = Session([watching(commit(1, nasty)), partial(f" {nasty}")])
    page = await opened(desk, quiet, session)
    await page.wait_for_selector(".partial")

    assert await shown(page) == [f"{nasty} {nasty}"]
    assert await page.locator("#captions img, #captions script").count() == 0
    assert await page.title() == "Captions"


async def test_a_screen_reader_is_told_commits_once_and_no_partials(desk, quiet):
    session = Session([watching(), partial("one two thr"), commit(1, "one"), partial(" two three")])
    page = await opened(desk, quiet, session)
    await page.wait_for_function("() => document.querySelector('.partial')?.textContent === ' two three'")

    await page.wait_for_selector("#captions[aria-live=polite]")
    assert await page.locator("#captions .commit").all_text_contents() == ["one"]
    assert await page.get_attribute("#captions .partial", "aria-hidden") == "true"


async def test_a_screen_reader_is_not_read_what_was_said_before_the_page_was_opened(desk, quiet):
    one, two, three, four = (commit(number, text) for number, text in enumerate(["one", " two", " three", " four"], 1))
    session = Session([watching(one, two)], [watching(one, two, three, four)])
    page = await opened(desk, quiet, session, script=LOG_LIVE)
    await page.wait_for_selector("#captions[aria-live=polite]")
    await session.tell(three)
    await page.wait_for_function("() => said.length === 3")
    assert await page.evaluate("said") == [["one", "off"], [" two", "off"], [" three", "polite"]]

    await session.tell(1012)
    await page.wait_for_function("() => said.length === 4")
    assert await page.evaluate("said.at(-1)") == [" four", "polite"], "what was missed is news"


async def test_what_follows_a_commit_stays_in_its_place_until_it_is_told_again(desk, quiet):
    session = Session([watching(), partial("one two"), commit(1, "one")])
    page = await opened(desk, quiet, session)
    await page.wait_for_selector(".commit")

    assert await page.text_content("#captions .partial") == " two"
    await session.tell({"type": "final", "utterance": 1, "text": "one", "start": 0, "end": 1, "language": "en"})
    await page.wait_for_function("() => !document.querySelector('.partial')")
    assert await shown(page) == ["one"]


async def test_a_connection_that_is_lost_comes_back_and_shows_what_was_missed_and_nothing_twice(desk, quiet):
    one, two, three = commit(1, "one"), commit(2, " two"), commit(3, "three", utterance=2)
    session = Session([watching(one), partial(" tw"), 1012], [watching(one, two), three])
    page = await opened(desk, quiet, session)
    await page.evaluate("window.first = document.querySelector('.commit')")
    await page.wait_for_function("() => document.querySelectorAll('.commit').length === 3")

    assert await shown(page) == ["one two three"]
    assert await page.evaluate("first === null || first.isConnected"), "what was shown was not made anew"
    assert len(session.sockets) == 2


async def test_after_a_reconnect_nothing_is_said_again_of_a_talk_that_the_first_message_has_no_place_for(desk, quiet):
    one, two, three, four = (commit(number, text) for number, text in enumerate(["one", " two", " three", " four"], 1))
    session = Session([watching(one), two, three], [watching(one), two, three, four])
    page = await opened(desk, quiet, session, script=LOG_LIVE)
    await page.wait_for_function("() => said.length === 3")
    await session.tell(1012)
    await page.wait_for_function("() => said.length > 3")

    assert await shown(page) == ["one two three four"]
    assert [text for text, _ in await page.evaluate("said")] == ["one", " two", " three", " four"]


@pytest.mark.parametrize(("started", "expected"), [("then", ["one two three"]), ("later", ["one three"])])
async def test_a_name_that_comes_back_is_of_the_same_session_if_that_began_at_the_same_time(
    desk, quiet, started, expected
):
    one, two = commit(1, "one"), commit(2, " two")
    again = {"started": started, "session": "microphone"}
    rest = [two, commit(3, " three")] if started == "then" else [commit(2, " three")]
    session = Session([watching(one, started="then"), two], [watching(one, **again), *rest])
    page = await opened(desk, quiet, session, name="microphone")
    await page.wait_for_function("() => document.querySelectorAll('.commit').length === 2")
    await page.evaluate("document.querySelector('.commit').old = true")
    await session.tell(1012)
    await page.wait_for_function("() => document.querySelector('#captions').textContent.includes('three')")

    assert await shown(page) == expected
    assert await page.evaluate("document.querySelector('.commit').old === true") == (started == "then")


async def test_another_session_of_the_same_name_begins_anew(desk, quiet):
    session = Session([watching(commit(1, "old")), 1012], [watching(commit(1, "new"))])
    page = await opened(desk, quiet, session)
    await page.wait_for_function("() => document.querySelector('#captions').textContent === 'new'")


@pytest.mark.parametrize("name", [NAME, f"{NAME}-0"])
async def test_the_end_is_said_and_the_text_stays_and_nothing_more_is_waited_for(desk, quiet, name):
    session = Session([watching(commit(1, "one")), {"type": "done", "audio": 2, "commits": 1}, 1000])
    page = await opened(desk, quiet, session, name=name, script=LOG_WAITS)
    await page.wait_for_selector("[data-state=ended]")

    assert await shown(page) == ["one"]
    assert "ended" in await page.text_content("#status")
    assert await page.evaluate("waits.filter((wait) => wait !== 10000)") == [500], "until it is read aloud, no other"


WATCH = """async (session) => {
  window.sockets = [];
  window.states = [];
  window.WebSocket = class { constructor() { sockets.push(this); } close() {} };
  const { Watch } = await import("/pages/watch.js");
  const others = ["replace", "take", "missed", "interrupted", "refuse"].map((name) => [name, () => {}]);
  new Watch(session, "", { ...Object.fromEntries(others), say: (state) => states.push(state) }).open();
}"""


async def test_a_server_that_takes_a_viewer_and_says_nothing_is_tried_again(desk, quiet):
    page = await desk.page()
    await page.clock.install()
    await page.goto(quiet)
    await page.evaluate(WATCH, NAME)
    await page.evaluate("sockets[0].onopen()")
    await page.clock.fast_forward(10_100)
    assert await page.evaluate("states") == ["lost"]

    await page.clock.fast_forward(1_000)
    await page.evaluate("said => sockets[1].onmessage({ data: said })", json.dumps(watching(commit(1, "one"))))
    await page.clock.fast_forward(10_100)
    assert await page.evaluate("states") == ["lost", "live"]
    assert await page.evaluate("sockets.length") == 2


async def test_a_server_that_restarts_ends_no_captions_and_what_was_missed_meanwhile_is_said(desk, quiet):
    ended = {"type": "done", "audio": 2, "commits": 1}
    session = Session([watching(commit(1, "one")), ended, 1012], [watching(), commit(2, " two"), commit(4, "four", 2)])
    page = await opened(desk, quiet, session)
    await page.wait_for_selector("[data-state=lost]")
    assert "trying again" in await page.text_content("#status")
    await page.wait_for_function("() => document.querySelectorAll('.commit').length === 3")

    assert await shown(page) == ["one two", "Some words are missing here.", "four"]


async def test_a_long_talk_is_laid_out_once_a_frame_and_not_once_a_commit(desk, quiet):
    commits = [commit(number, f" word{number}") for number in range(1, 1001)]
    page = await opened(desk, quiet, Session([watching(*commits)]), script=COUNT_LAYOUTS)
    await page.wait_for_function("() => document.querySelectorAll('.commit').length === 1000")
    await page.wait_for_function(f"() => ({BELOW})() < 1")

    assert await page.evaluate("layouts") < 500


async def test_a_tab_that_was_hidden_shows_the_newest_line_and_one_that_was_scrolled_up_stays(desk, quiet):
    commits = [commit(number, f" word{number}") for number in range(1, 501)]
    session = Session([watching(*commits[:300])])
    page = await opened(desk, quiet, session, script=HIDE)
    await page.wait_for_function("() => document.querySelectorAll('.commit').length === 300", polling=20)
    for one in commits[300:400]:
        await session.tell(one)
    await page.wait_for_function("() => document.querySelectorAll('.commit').length === 400", polling=20)
    assert await page.evaluate(BELOW) > 1, "nothing was drawn"
    await page.evaluate("show()")
    assert await page.evaluate(BELOW) < 1

    await page.evaluate("document.querySelector('#captions').scrollTop = 50")
    await page.wait_for_selector("#latest:not([hidden])")
    for one in commits[400:]:
        await session.tell(one)
    await page.wait_for_function("() => document.querySelectorAll('.commit').length === 500")
    assert await page.evaluate("document.querySelector('#captions').scrollTop") == 50
    await page.click("#latest")
    await page.wait_for_selector("#latest", state="hidden")
    assert await page.evaluate(BELOW) < 1


async def test_an_ended_session_that_may_go_on_is_waited_for_and_its_text_stays(desk, quiet):
    ended = {"type": "done", "audio": 2, "commits": 1}
    said = watching(commit(1, "one"), ended="then")
    session = Session([watching(commit(1, "one")), ended, 1012], [said, ended, 1012], [watching(commit(1, "one"))])
    page = await opened(desk, quiet, session, script=LOG_LIVE)
    await page.wait_for_selector("[data-state=absent]")
    assert await page.text_content("#status") == "Waiting for the speaker."
    await page.wait_for_selector("[data-state=live]")
    await session.tell(commit(2, " two"))
    await page.wait_for_function("() => document.querySelectorAll('.commit').length === 2")

    assert [text for text, _ in await page.evaluate("said")] == ["one", " two"]


async def test_a_pause_begins_a_paragraph_and_arabic_runs_from_the_right(desk, quiet):
    later = commit(9, "مرحبا بكم", utterance=2, id=2)
    session = Session([watching(commit(1, "one"), later), partial(" نعم", utterance=2, start=5)])
    page = await opened(desk, quiet, session)
    await page.wait_for_selector(".partial")

    sides = await page.locator("#captions p").evaluate_all("all => all.map(one => getComputedStyle(one).direction)")
    assert sides == ["ltr", "rtl"]


async def test_the_audience_chooses_size_lines_and_background(desk, quiet):
    commits = [commit(number, f" word{number}") for number in range(1, 200)]
    path = f"captions/{NAME}?size=40&lines=2&background=transparent"
    page = await opened(desk, quiet, Session([watching(*commits)]), path, viewport={"width": 800, "height": 450})
    await page.wait_for_function("() => document.querySelectorAll('.commit').length === 199")

    style = "name => getComputedStyle(document.querySelector('#captions')).getPropertyValue(name)"
    assert await page.evaluate(style, "font-size") == "40px"
    assert await page.evaluate("document.querySelector('#captions').clientHeight") == round((2 * 1.36 + 0.4) * 40)
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
    bottom = await page.evaluate(
        "[document.querySelector('#captions'), [...document.querySelectorAll('.commit')].at(-1)]"
        ".map(one => one.getBoundingClientRect().bottom)"
    )
    assert bottom[1] <= bottom[0] + 1, "the newest line is in sight"


SEEN = """() => {
  const box = document.querySelector("#captions");
  const top = box.getBoundingClientRect().top + 0.22 * parseFloat(getComputedStyle(box).fontSize);
  return [...document.querySelectorAll("#captions .commit")].map((one) => {
    const letters = one.getBoundingClientRect();
    return Math.max(0, letters.bottom - Math.max(top, letters.top)) / letters.height;
  });
}"""
"""How much of each commit's height is not cut off."""


@pytest.mark.parametrize(("lines", "whole"), [(1, 1), (2, 1), (3, 2), (4, 3)])
async def test_of_so_many_lines_none_is_cut_through_where_a_pause_or_a_note_is_between_them(desk, quiet, lines, whole):
    one, two, three = commit(1, "one"), commit(9, "two", 2, id=2), commit(30, "three", 3, id=3)
    gap = {"type": "gap", "start": 6, "end": 12, "reason": "lost"}
    path = f"captions/{NAME}?size=48&lines={lines}&background=transparent"
    session = Session([watching(one, two), gap, three])
    page = await opened(desk, quiet, session, path, viewport={"width": 800, "height": 450})
    await page.wait_for_function(f"() => document.querySelectorAll('.commit').length === 3 && ({BELOW})() < 1")

    seen = await page.evaluate(SEEN)
    assert all(part < 0.02 for part in seen[: 3 - whole]), seen
    assert all(part > 0.85 for part in seen[3 - whole :]), seen


WRONG = {
    "size=9": "size must be a number of pixels in [10, 400], got “9”",
    "size=12px": "got “12px”",
    "lines=1.5": "lines must be a whole number in [1, 50], got “1.5”",
    "lines=": "lines must be",
    "background=url(x)": "background must be transparent or a colour",
    "background=red;color:blue": "background must be",
}


async def test_a_wish_that_cannot_be_is_named(desk, quiet):
    page = await desk.page()
    for query, complaint in WRONG.items():
        await page.goto(f"{quiet}captions/{NAME}?{query}")
        await page.wait_for_selector("#status.wrong")
        assert complaint in await page.text_content("#status")


async def test_a_token_goes_behind_the_address_where_no_server_sees_it(desk):
    desk.expected = ("404", "401", "WebSocket connection")
    async with running(ServerConfig(port=0, token="secret", watch_token="open-sesame")) as server:
        address = f"http://127.0.0.1:{server.port}/captions/microphone"
        page = await desk.page()
        await page.goto(f"{address}#token=wrong")
        await page.wait_for_selector("[data-state=refused]")
        assert "#token=TOKEN" in await page.text_content("#status")
        await page.goto(f"{address}#token=open-sesame")
        await page.wait_for_selector("[data-state=absent]")
        await page.close()

    assert [url for url in desk.addresses if "sesame" in url] == []


async def test_a_token_with_signs_that_mean_something_in_an_address_is_taken_as_it_is(desk):
    desk.expected = ("404", "WebSocket connection")
    token = "a+b&c%25d"
    async with running(ServerConfig(port=0, token="secret", watch_token=token)) as server:
        page = await desk.page()
        await page.goto(f"http://127.0.0.1:{server.port}/captions/microphone#token={token}")
        await page.wait_for_selector("[data-state=absent]")


async def test_a_session_that_is_not_there_yet_is_waited_for(desk, quiet):
    desk.expected = ("404", "WebSocket connection")
    page = await desk.page()
    await page.goto(f"{quiet}captions/microphone")
    await page.wait_for_selector("[data-state=absent]")

    assert await page.text_content("#status") == "Waiting for the speaker."


async def test_nobody_is_kept_from_reading(desk, quiet):
    said = [watching(commit(1, "one two three"), commit(9, "four", utterance=2, id=2)), partial(" five", 2, 5)]
    page = await opened(desk, quiet, Session(said, said), viewport={"width": 320, "height": 600})
    await page.wait_for_selector(".partial")
    assert await violations(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    await page.goto(f"{quiet}captions/{NAME}?background=336699")
    await page.wait_for_selector(".partial")
    assert await violations(page) == []
