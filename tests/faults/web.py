"""G: what other sites, other people and other machines might try."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import sys
from pathlib import Path
from random import Random

from tests.faults.daemon import started
from tests.faults.elsewhere import proved
from tests.faults.raw import BINARY, TEXT, answer, frame, get, raw, request, status_of, upgrade
from tests.faults.scene import Case, Scene
from tests.faulty.speaker import Speaker, pcm
from tests.faulty.spoken import utterances
from tests.faulty.verdict import Verdict

TOKENS = {"speak": "canary-speak-7f3a9", "watch": "canary-watch-51c2e", "admin": "canary-admin-8d0b4"}
FILES = ("etc/passwd", ".env", "streamer/config.py", "proc/self/environ", "speaker.html", "pages/speaker.html")


async def shake(scene: Scene, path: str, *headers: str, host: str | None = None) -> int:
    """Ask for a WebSocket and leave; return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    try:
        writer.write(upgrade(path, *headers, host=host or f"127.0.0.1:{scene.port}"))
        async with asyncio.timeout(15):
            return status_of(await reader.readline())
    finally:
        writer.transport.abort()


async def foreign_origins(scene: Scene) -> None:
    port = scene.port
    ours = [f"http://127.0.0.1:{port}"]
    foreign = [
        "https://evil.example", "null", "", f"http://localhost.evil:{port}", "http://127.0.0.1", f"http://127.0.0.1:{port}.evil",
        f"http://evil@127.0.0.1:{port + 1}", f"file://127.0.0.1:{port}", f"http://127.0.0.1:{port}, https://evil.example",
        f"chrome-extension://127.0.0.1:{port}", f"http://[::1]:{port}", "http://[", f"http://2130706433:{port}",
    ]  # fmt: skip
    for path in ("/v1/stream", "/v1/realtime", "/v1/listen", "/vosk", "/whisperlive", "/"):
        for origin in foreign:
            status = await shake(scene, path, f"Origin: {origin}")
            scene.expect(status == 403, f"{path}, Origin {origin!r}: {status}")
        for origin in ours:
            status = await shake(scene, path, f"Origin: {origin}")
            scene.expect(status == 101, f"{path}, our own page: {status}")
    scene.saw(f"{len(foreign)} origins on 6 paths: 403 before the upgrade; the daemon's own page: 101")


async def foreign_hosts(scene: Scene) -> None:
    for host in (
        "evil.example",
        f"evil.example:{scene.port}",
        f"127.0.0.1.evil.example:{scene.port}",
        "localhost.evil",
    ):
        status = await shake(scene, "/v1/stream", f"Origin: http://{host}", host=host)
        scene.expect(status == 403, f"a page of {host} whose name resolves to us: {status}")
        status, _ = await get(scene.port, "/v1/sessions/x.txt", host=host)
        scene.expect(status == 403, f"captions for {host}: {status}")
        status = await shake(scene, "/v1/watch/x", f"Origin: http://{host}", host=host)
        scene.expect(status == 403, f"watching for {host}: {status}")
    scene.saw("pages whose own name was made to resolve to the daemon: 403 for streams, captions and viewers")


def token_flags(folder: Path) -> list[str]:
    """Write the tokens into files; return the settings that name them."""
    flags = []
    for name, token in TOKENS.items():
        path = folder / f"{name}.token"
        path.write_text(token + "\n")
        path.chmod(0o600)
        flags += [f"--server.{'' if name == 'speak' else name + '-'}token-file", str(path)]
    return flags


async def tokens(scene: Scene) -> None:
    speak = TOKENS["speak"]
    async with scene.start(*token_flags(scene.folder)) as scene.subject:
        good = [
            [f"Authorization: Bearer {speak}"], [f"Authorization: Token {speak}"],
            [f"Sec-WebSocket-Protocol: streamer.v1, bearer.{speak}"],
        ]  # fmt: skip
        bad = [
            [], ["Authorization: Bearer"], ["Authorization: Bearer wrong"], [f"Authorization: Bearer {speak[:-1]}"],
            [f"Authorization: Bearer {speak}x"], [f"Authorization: Basic {speak}"], [f"Authorization: Bearer {TOKENS['watch']}"],
            [f"Cookie: token={speak}"], [f"X-Token: {speak}"], ["Sec-WebSocket-Protocol: streamer.v1, bearer.wrong"],
        ]  # fmt: skip
        for headers in good:
            scene.expect(await shake(scene, "/v1/stream", *headers) == 101, f"{headers}: not let in")
        for headers in bad:
            scene.expect(await shake(scene, "/v1/stream", *headers) == 401, f"{headers}: not refused")
        for query in (
            f"?token={speak}",
            f"?access_token={speak}",
            f"?api_key={speak}",
            f"?authorization=Bearer+{speak}",
        ):
            scene.expect(await shake(scene, f"/v1/stream{query}") == 401, f"{query}: a token from the URL is taken")
            scene.expect((await get(scene.port, f"/metrics{query}"))[0] == 401, f"/metrics{query}")
        metrics, _ = await get(scene.port, "/metrics", f"Authorization: Bearer {TOKENS['admin']}")
        scene.expect(metrics == 200, f"/metrics with its token: {metrics}")
        text = "\n".join(scene.subject.log)
        scene.expect(not any(token in text for token in TOKENS.values()), "a token in the log")
    scene.saw(f"{len(good)} ways 101; {len(bad)} wrong or missing and 4 in the URL: 401; none in the log")


def traversals(rng: Random, count: int) -> list[str]:
    """Return paths that should lead nowhere."""
    ups = [
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..\\",
        "..%5c",
        "....//",
        "%252e%252e%252f",
        "..%c0%af",
        "..;/",
        "./../",
        "//",
    ]
    starts = ["/", "/pages/", "/captions/", "/v1/sessions/", "//", "/pages/%00", "/\\", "/v1/../", "/pages/..%00/"]
    ends = ["", "%00", "%00.html", ".html", "?x", "#x", "/", ".bak", "~"]
    return [
        rng.choice(starts) + rng.choice(ups) * rng.randint(1, 8) + rng.choice(FILES) + rng.choice(ends)
        for _ in range(count)
    ]


async def paths(scene: Scene) -> None:
    found: dict[int, int] = {}
    tried = [
        *traversals(scene.rng, 480),
        "/.env",
        "/.git/config",
        "/pages/",
        "/pages/__init__.py",
        "/" + "x" * 5000,
        "/%",
    ]
    for path in tried:
        received = await answer(scene.port, request(path))
        status = status_of(received)
        found[status] = found.get(status, 0) + 1
        scene.expect(status in {307, 400, 404, 414}, f"{path[:60]}: {status}")
        if status == 307:  # a slash too many; the path without it
            where = received.partition(b"location: ")[2].partition(b"\r\n")[0].decode().removeprefix("http://localhost")
            received = await answer(scene.port, request(where))
            scene.expect(status_of(received) == 404, f"{path[:60]}: led to {where[:60]}: {status_of(received)}")
        scene.expect(b"root:" not in received and b"import " not in received, f"{path[:60]}: a file came back")
    for code in (b"\r\n", b"\n", b"\0"):
        await answer(
            scene.port, b"GET /a" + code + b"X-Injected: 1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
    scene.saw(", ".join(f"{count} times {status}" for status, count in sorted(found.items())))


async def framing(scene: Scene) -> None:
    for path in ("/", "/captions/abc"):
        head = (await answer(scene.port, request(path))).partition(b"\r\n\r\n")[0].decode().lower()
        for wanted in (
            "frame-ancestors 'none'",
            "default-src 'none'",
            "nosniff",
            "no-referrer",
            "trusted-types 'none'",
        ):
            scene.expect(wanted in head, f"{path}: no {wanted}")
        scene.expect("access-control-allow-origin" not in head, f"{path}: other sites may read it")
    scene.saw("frame-ancestors 'none', default-src 'none', trusted-types 'none', nosniff, no-referrer on both pages")


async def viewers(scene: Scene) -> None:
    speaker = scene.speakers[0]
    session = speaker.of("ready")[0]["session"]
    for data in (frame(TEXT, b'{"type":"start"}'), frame(BINARY, bytes(3200)), frame(TEXT, b'{"type":"stop"}')):
        ending = await raw(scene.port, data, path=f"/v1/watch/{session}")
        scene.expect(
            ending.code == 1008 and "unexpected_message" in ending.texts[-1], f"a viewer's {data[:20]!r}: {ending.code}"
        )
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        status, _ = await get(scene.port, f"/v1/sessions/{session}.txt", method=method)
        scene.expect(status == 405, f"{method} of a session: {status}")
    scene.saw(
        "audio, start, stop from a viewer: `unexpected_message`, 1008; POST, PUT, DELETE, PATCH: 405; the session goes on"
    )


async def watch_token(scene: Scene) -> None:
    headers = [f"Authorization: Bearer {TOKENS['watch']}"]
    async with scene.start(*token_flags(scene.folder)) as scene.subject:
        for path in ("/v1/stream", "/v1/realtime", "/v1/listen", "/vosk", "/whisperlive", "/"):
            status = await shake(scene, path, *headers)
            scene.expect(status == 401, f"speaking with the token for watching on {path}: {status}")
        for path in ("/metrics", "/v1/sessions", "/v1/capabilities"):
            status, _ = await get(scene.port, path, *headers)
            scene.expect(status in {401, 403}, f"{path} with the token for watching: {status}")
        status, _ = await get(scene.port, "/v1/sessions/none.txt", *headers)
        scene.expect(status == 404, f"watching what does not exist: {status}")
    scene.saw("the token for watching speaks nowhere (401), administers nothing (401), and watches")


async def rights(scene: Scene) -> None:
    await viewers(scene)
    folder = scene.folder / "tokens"
    folder.mkdir()
    other = Scene(scene.case, scene.rng, folder)
    await watch_token(other)
    scene.facts += other.facts
    scene.complaints += other.complaints


async def guesses(scene: Scene) -> None:
    count, found = 2000 * scene.count, 0
    for _ in range(count // 100):
        requests = [f"GET /v1/sessions/{secrets.token_hex(8)}.txt HTTP/1.1\r\nHost: localhost\r\n" for _ in range(100)]
        requests[-1] += "Connection: close\r\n"
        received = await answer(scene.port, "\r\n".join([*requests, ""]).encode())
        statuses = [int(part[:3]) for part in received.decode().split("HTTP/1.1 ")[1:]]
        scene.expect(len(statuses) == len(requests), f"{len(statuses)} answers to {len(requests)} requests")
        found += sum(status != 404 for status in statuses)
    names = {speaker.of("ready")[0]["session"] for speaker in scene.speakers}
    scene.expect(not found, f"{found} of {count} guesses found something")
    scene.expect(all(len(name) == 16 for name in names) and len(names) == len(scene.speakers), "names that repeat")
    scene.saw(f"{count} guesses: 404 each; names are 64 random bits, so that {count} in 2^64 had a chance")


async def secrets_inside(scene: Scene) -> None:
    async with scene.start(*token_flags(scene.folder)) as scene.subject:
        worker = scene.subject.worker
        for process in (scene.subject.seen, worker):
            told = " ".join(process.cmdline()) + " ".join(f"{k}={v}" for k, v in process.environ().items())
            scene.expect(
                not any(token in told for token in TOKENS.values()),
                f"{process.name()}: a token in its arguments or variables",
            )
        held = [path for path in Path(f"/proc/{worker.pid}/fd").iterdir() if str(path.resolve()).endswith(".token")]
        scene.expect(not held, "the recognizer's process holds a token file")
    units = (Path(__file__).parents[2] / "systemd/streamer.service").read_text()
    scene.expect("LimitCORE=0" in units and "LoadCredential" in units, "the unit: no LimitCORE=0 or LoadCredential")
    scene.saw(
        "in no argument and no variable of daemon and recognizer; no file held open; the unit has LimitCORE=0 and LoadCredential"
    )


async def canaries(scene: Scene) -> None:
    journal = scene.folder / "journal.sqlite"
    async with scene.start("--journal.path", str(journal)) as scene.subject:
        speakers = [Speaker(900 + n, [5, 5]) for n in range(4)]
        async with asyncio.TaskGroup() as group:
            for speaker in speakers:
                group.create_task(speaker.run(scene.port))
            kept = group.create_task(resumable(scene))
        _, metrics = await get(scene.port, "/metrics")
        scene.expect("900.1" not in metrics, "words in the metrics")
        for speaker in speakers:
            others = json.dumps([m for s in speakers if s is not speaker for m in s.messages])
            scene.expect(f"{speaker.key}.1" not in others, f"words of {speaker.key} at another client")
            scene.expect(speaker.verdict == Verdict(), f"{speaker.key}: {speaker.verdict}")
        scene.subject.process.terminate()
        await scene.subject.process.wait()
    found = [
        path.name
        for path in scene.folder.rglob("*")
        if path.is_file() and any(f"90{n}.1".encode() in path.read_bytes() for n in range(4))
    ]
    scene.expect(not found, f"words of sessions that nobody asked to keep in {found}")
    scene.expect(
        kept.result() and b"999.1" in b"".join(path.read_bytes() for path in scene.folder.glob("journal*")),
        "a resumable session's words are not in the journal",
    )
    scene.saw(
        "at their own client only; in the journal those of the resumable session and no others; not in log or metrics"
    )


async def resumable(scene: Scene) -> bool:
    """Speak as 999 in a session that is kept."""
    audio = b"".join(pcm(samples) for _, samples in utterances(999, [4]))
    heard = await scene.say({"type": "start", "resumable": True}, audio, {"type": "stop"})
    return heard.finals == ["999.0 999.1 999.2 999.3"]


async def no_way_out(scene: Scene) -> None:
    """Run the daemon with an inherited socket in a network of its own, which has no other."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    program = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
        "os.execvp('unshare', ['unshare', '--net', *sys.argv[2:]])"
    )
    prefix = (sys.executable, "-c", program, str(listener.fileno()))
    listener.set_inheritable(True)
    async with started(scene.folder, prefix=prefix, pass_fds=(listener.fileno(),)) as scene.subject:
        scene.subject.port = port
        listener.close()
        speaker = Speaker(900, [5, 5])
        await speaker.run(port)
        scene.expect(speaker.verdict == Verdict() and speaker.close_code == 1000, f"{speaker.verdict}")
        inside = await asyncio.create_subprocess_exec(
            "nsenter", "--net", "--target", str(scene.subject.process.pid), "bash", "-c",
            "cat /proc/net/route | tail -n +2 | wc -l; timeout 5 bash -c '</dev/tcp/1.1.1.1/53' 2>&1 | tail -n 1; ls /sys/class/net | tr '\\n' ' '",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told = (await inside.communicate())[0].decode().split("\n")
        scene.expect(told[0] == "0", f"routes: {told[0]}")
        scene.expect("unreachable" in told[1].lower(), f"a connection outwards: {told[1]}")
    scene.saw(f"served over the inherited socket; from inside: no route, {told[1].rpartition(': ')[2]!r}")


BROWSER = "tests/browser"
CASES = (
    Case("G1", "13 foreign, forged and null origins on every WebSocket path", "403 before the upgrade", foreign_origins, neighbours=4, lines=300),
    Case("G2", "DNS rebinding: Host and Origin of another site", "403", foreign_hosts, neighbours=4),
    Case("G3", "no, wrong, cut, foreign token; tokens in the URL", "401; none in the log", tokens, alone=True),
    Case("G4", "timing of the comparison", "constant: `hmac.compare_digest` over digests", proved("tests/streamer/network/test_tokens.py"), alone=True),
    Case("G5", "486 paths that lead outside", "404 or 400, no file", paths, neighbours=4),
    Case("G6", "text that looks like markup, in a browser", "shown as text; the policy blocks the rest", proved(f"{BROWSER}/test_viewing.py::test_text_that_looks_like_markup_is_text"), alone=True),
    Case("G7", "a page in another's frame", "frame-ancestors 'none'", framing, neighbours=4),
    Case("G8", "a viewer who sends audio; the token for watching used for speaking", "`unexpected_message`, 1008; 401", rights, neighbours=4),
    Case("G9", "2,000 guessed session names (`--count` for more)", "404 each", guesses, lines=2000, neighbours=4, less="names have 64 random bits, not 128; guesses are not slowed down"),
    Case("G10", "tokens in arguments, variables, open files, core dumps", "nowhere", secrets_inside, alone=True),
    Case("G11", "words of sessions searched for in logs, metrics, files, other clients", "nowhere but at the client, and in the journal if it was asked to", canaries, alone=True),
    Case("G12", "a session forgotten by the journal", "nothing in the files", proved("tests/streamer/journal/test_journal.py::test_a_session_that_is_forgotten_leaves_nothing_in_the_files", "tests/streamer/journal/test_journal.py::test_sessions_that_nobody_came_back_to_are_deleted_in_time"), alone=True),
    Case("G13", "a browser's connection lost, page reloaded, viewer back", "no audio after the last commit is lost; nothing is shown twice", proved(f"{BROWSER}/test_troubles.py::test_a_lost_connection_costs_no_audio_after_the_last_commit", f"{BROWSER}/test_viewing.py::test_a_connection_that_is_lost_comes_back_and_shows_what_was_missed_and_nothing_twice"), alone=True, limit_s=240),
    Case("G14", "a connection outwards from the daemon's network (socket activation, `unshare --net`)", "impossible", no_way_out, alone=True),
)  # fmt: skip
