"""What a browser is given, over plain HTTP: which files, with which headers, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPMessage, parse_headers
from importlib import resources
from io import BytesIO

import pytest
from websockets.asyncio.client import connect

from streamer.config import ServerConfig
from streamer.http.pages import KINDS, SPEAKER, VIEWER, read_pages
from tests.streamer.harness import request, running

FOLDER = resources.files("streamer.pages")
NAMES = sorted(read_pages().keys() - {SPEAKER, VIEWER})
PATHS = ["/", "/captions/9f8e0123456789ab", "/captions/microphone", *(f"/pages/{name}" for name in NAMES)]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes


async def ask(server, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
    lines = [f"{method} {path} HTTP/1.1", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in ({"Host": "localhost"} | dict(headers or {})).items()]
    data = await request(server, "\r\n".join([*lines, "", ""]).encode())
    status, _, rest = data.partition(b"\r\n")
    head, _, body = rest.partition(b"\r\n\r\n")
    return Answer(int(status.split()[1]), parse_headers(BytesIO(head + b"\r\n\r\n")), body)


async def test_every_file_is_served_as_what_it_is():
    async with running() as server:
        answers = {path: await ask(server, path) for path in PATHS}

    for path, answer in answers.items():
        assert answer.status == 200, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert answers["/"].body == (FOLDER / SPEAKER).read_bytes()
    assert answers["/captions/microphone"].body == (FOLDER / VIEWER).read_bytes()
    for name in NAMES:
        assert answers[f"/pages/{name}"].body == (FOLDER / name).read_bytes()
        assert answers[f"/pages/{name}"].headers["Content-Type"] == KINDS[name[name.rindex(".") :]]


async def test_every_file_forbids_what_the_page_does_not_need():
    async with running() as server:
        answers = [await ask(server, path) for path in PATHS]

    for answer in answers:
        policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "microphone=(self)" in answer.headers["Permissions-Policy"]


async def test_a_file_that_the_browser_has_is_not_sent_again():
    async with running() as server:
        first = await ask(server, "/pages/speaker.js")
        tag = first.headers["ETag"]
        known = await ask(server, "/pages/speaker.js", {"If-None-Match": f'"other", W/{tag}'})
        other = await ask(server, "/pages/speaker.js", {"If-None-Match": '"other"'})

    assert first.headers["Cache-Control"] == "no-cache"
    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", tag)
    assert known.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
    assert (other.status, other.body) == (200, first.body)


async def test_head_has_the_headers_and_no_body():
    async with running() as server:
        whole = await ask(server, "/")
        head = await ask(server, "/", method="HEAD")

    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.body))


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/pages/../../../etc/passwd",
        "/pages/%2e%2e/%2e%2e/config.py",
        "/pages/..%2f..%2fconfig.py",
        "/pages/..%5c..%5cconfig.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//",
        "//etc/passwd",
        "/pages//etc/passwd",
        "/%00",
        "/pages/speaker.js%00",
        "/pages/__init__.py",
        "/pages/speaker.html",
        "/pages",
        "/pages/",
        "/pages/SPEAKER.js",
        "/captions",
        "/captions/",
        "/captions/..",
        "/captions/%2e%2e",
        "/captions/a%2fb",
        "/captions/a/b",
        "/captions/a%00",
        "/captions/%3Cscript%3E",
        f"/captions/{'a' * 65}",
    ],
)
async def test_what_is_not_in_the_table_is_not_found(path):
    async with running() as server:
        answer = await ask(server, path)

    assert answer.status == 404
    assert b"root:" not in answer.body


async def test_pages_are_read_and_nothing_else():
    async with running() as server:
        answer = await ask(server, "/", method="POST")

    assert answer.status == 405


async def test_a_websocket_at_the_same_path_is_still_a_stream():
    async with running() as server:
        page = await ask(server, "/")
        async with connect(f"ws://127.0.0.1:{server.port}/", proxy=None) as socket:
            await socket.send('{"eof" : 1}')
            answer = json.loads(await socket.recv())

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer["text"] == ""


async def test_pages_need_no_token_and_what_they_ask_for_does():
    async with running(ServerConfig(port=0, token="secret")) as server:
        page = await ask(server, "/")
        bare = await ask(server, "/v1/capabilities")
        good = await ask(server, "/v1/capabilities", {"Authorization": "Bearer secret"})

    assert page.status == 200
    assert bare.status == 401
    assert json.loads(good.body) == {
        "model": "levels",
        "languages": {"en": "english", "de": "german"},
        "tasks": ["transcribe", "translate"],
        "viewers_need_token": True,
    }


async def test_a_page_of_another_site_is_told_nothing():
    async with running() as server:
        answer = await ask(server, "/v1/capabilities", {"Origin": "http://example.org"})

    assert answer.status == 403


def test_no_page_loads_or_runs_what_is_not_beside_it():
    for name, page in read_pages().items():
        text = page.body.decode().replace("http://www.w3.org/2000/svg", "").replace("http://localhost", "")
        assert not re.search(r"https?://|//[a-z0-9-]+\.[a-z]|@import|url\(", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            name
        )
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\son[a-z]+=\"", text), name
