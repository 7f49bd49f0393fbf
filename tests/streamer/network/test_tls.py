from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import ssl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from clients.connection import connect as open_stream
from clients.errors import Unreachable
from streamer.__main__ import run
from streamer.commands import serve
from streamer.commands.outcome import Exit
from streamer.config import Config, ConfigError, ServerConfig
from streamer.daemon import serve as daemon
from streamer.network import tls
from streamer.network.flow import READ_BYTES
from streamer.network.tls import Certificate
from streamer.network.websocket_protocol import WebSocketProtocol
from streamer.server import Server
from tests import virtual_time
from tests.certificates import Papers, issue
from tests.fakes import LevelRecognizer
from tests.streamer.commands.console import sound_file
from tests.streamer.harness import LOCAL, listen, push, running, s16, sentence, until, until_heard


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def papers(tmp_path: Path, authority: trustme.CA) -> Papers:
    return issue(tmp_path, authority)


def settings(papers: Papers, **others: object) -> ServerConfig:
    return replace(LOCAL, tls_certificate=papers.certificate, tls_key=papers.key, **others)


def dialled(port: int, papers: Papers, **others: object) -> connect:
    return connect(f"wss://127.0.0.1:{port}/v1/stream", ssl=papers.client(), proxy=None, compression=None, **others)


def shown(client: ClientConnection) -> bytes | None:
    """Return the certificate that a client was shown."""
    return client.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)


async def now_shown(port: int, papers: Papers) -> bytes | None:
    async with dialled(port, papers) as client:
        return shown(client)


def renew(papers: Papers, other: Papers) -> None:
    """Put another certificate in place of one, as renewal programs do."""
    shutil.copy(other.certificate, papers.certificate)
    shutil.copy(other.key, papers.key)


async def test_a_stream_over_tls_is_like_any_other(papers):
    async with (
        running(settings(papers)) as server,
        dialled(server.port, papers) as client,
        asyncio.TaskGroup() as group,
    ):
        audio = s16(sentence(1, 2, 3))
        group.create_task(push(client, [{"type": "start"}, audio, {"type": "stop"}]))
        heard = await listen(client)
        version = client.transport.get_extra_info("ssl_object").version()

    assert (heard.finals, heard.code, version) == (["w1 w2 w3"], 1000, "TLSv1.3")


async def test_the_other_paths_of_the_port_speak_tls_too(papers):
    async with running(settings(papers)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=papers.client())
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_versions_before_1_2_are_not_spoken(papers):
    assert Certificate(papers.certificate, papers.key).context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_the_client_library_and_send_trust_the_authority_they_are_given(papers, tmp_path, capsys, monkeypatch):
    file = sound_file(tmp_path / "a.wav", sentence(1, 2))
    command = ["send", file, "--speed", "0", "--server"]
    async with running(settings(papers)) as server:
        where = f"wss://127.0.0.1:{server.port}"
        named = await asyncio.to_thread(run, [*command, where, "--ca-file", str(papers.authority)])
        unknown = await asyncio.to_thread(run, [*command, where])
        useless = await asyncio.to_thread(run, [*command, where.replace("wss", "ws"), "--ca-file", "x.pem"])
        monkeypatch.setenv("SSL_CERT_FILE", str(papers.authority))
        by_environment = await asyncio.to_thread(run, [*command, where])

    told = capsys.readouterr()
    assert (named, unknown, useless, by_environment) == (Exit.OK, Exit.UNAVAILABLE, Exit.UNAVAILABLE, Exit.OK)
    assert told.out == "w1 w2\nw1 w2\n"
    assert "CERTIFICATE_VERIFY_FAILED" in told.err
    assert "--ca-file" in told.err
    assert "wss:// address only" in told.err


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), ("dear reader", "no certificate in PEM")])
async def test_a_file_without_an_authority_is_told(tmp_path, content, words):
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Unreachable, match=words):
        async with open_stream("wss://127.0.0.1:1", ca_file=path):
            pass


def test_the_daemon_says_that_it_speaks_tls(papers, capsys):
    serve.announce(settings(papers), 8765)

    assert capsys.readouterr().out == "listening on wss://127.0.0.1:8765/v1/stream\n"


async def test_new_files_are_shown_to_new_connections_and_those_that_run_go_on(
    papers, tmp_path, authority, monkeypatch
):
    monkeypatch.setattr("streamer.network.tls.CHECK_S", 0.01)
    (tmp_path / "next").mkdir()
    other = issue(tmp_path / "next", authority)
    async with running(settings(papers)) as server, dialled(server.port, papers) as client:
        await push(client, [{"type": "start"}, s16(sentence(1))])
        before = await now_shown(server.port, papers)
        renew(papers, other)
        while (after := await now_shown(server.port, papers)) == before:
            pass
        await push(client, [s16(sentence(2)), {"type": "stop"}])
        heard = await listen(client)

    assert (shown(client), after) == (before, ssl.PEM_cert_to_DER_cert(first(other)))
    assert heard.finals == ["w1", "w2"]


def test_files_that_change_while_the_model_is_warmed_up_are_read_again(papers, tmp_path, authority, caplog):
    caplog.set_level(logging.INFO, "streamer.network.tls")
    (tmp_path / "next").mkdir()
    certificate = Certificate(papers.certificate, papers.key)
    renew(papers, issue(tmp_path / "next", authority))

    async def watch() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(5 * tls.CHECK_S):
                await certificate.watch()

    virtual_time.run(watch())

    assert [record.getMessage() for record in caplog.records] == ["certificate read again"]


def first(papers: Papers) -> str:
    return papers.certificate.read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"


async def test_sighup_has_the_files_read_again(papers, tmp_path, authority):
    (tmp_path / "next").mkdir()
    other = issue(tmp_path / "next", authority)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a shell may have had it ignored
    async with asyncio.TaskGroup() as group:
        task = group.create_task(daemon(Config(server=settings(papers)), LevelRecognizer(), on_ready=port.set_result))
        before = await now_shown(await port, papers)
        renew(papers, other)
        os.kill(os.getpid(), signal.SIGHUP)
        while (after := await now_shown(await port, papers)) == before:
            pass
        task.cancel()

    assert after == ssl.PEM_cert_to_DER_cert(first(other))
    assert signal.signal(signal.SIGHUP, inherited) == signal.SIG_DFL


@pytest.mark.parametrize("damage", ["gone", "broken", "mismatched"])
async def test_new_files_that_are_no_pair_are_logged_and_change_nothing(papers, tmp_path, authority, caplog, damage):
    async with running(settings(papers)) as server:
        before = await now_shown(server.port, papers)
        match damage:
            case "gone":
                papers.key.unlink()
            case "broken":
                papers.certificate.write_text("dear reader")
            case "mismatched":
                shutil.copy(issue(tmp_path, authority, "other").key, papers.key)
        server.certificate.reload()
        after = await now_shown(server.port, papers)

    assert after == before
    assert [r.levelname for r in caplog.records if "the certificate before stays" in r.message] == ["ERROR"]


@pytest.fixture
def bad(papers: Papers, tmp_path: Path, authority: trustme.CA) -> dict[str, tuple[Path | None, Path | None]]:
    """Return certificates and keys that cannot be, by what is wrong with them."""
    key = load_pem_private_key(papers.key.read_bytes(), None)
    encrypted, text, folder = tmp_path / "encrypted.key", tmp_path / "letter", tmp_path / "folder"
    encrypted.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret"))
    )
    text.write_text("dear reader")
    folder.mkdir()
    return {
        "missing": (tmp_path / "none.pem", papers.key),
        "unreadable": (papers.certificate, folder),
        "mismatched": (papers.certificate, issue(tmp_path, authority, "other").key),
        "no PEM": (text, papers.key),
        "encrypted": (papers.certificate, encrypted),
        "no key": (papers.certificate, None),
        "no certificate": (None, papers.key),
    }


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("missing", r"server\.tls_certificate .*none\.pem cannot be read: No such file or directory"),
        ("unreadable", r"server\.tls_key .*folder cannot be read: Is a directory"),
        ("mismatched", r"server\.pem and server\.tls_key .*other\.key do not belong together"),
        ("no PEM", r"server\.tls_certificate .*letter and server\.tls_key .* must hold a certificate and its"),
        ("encrypted", r"server\.tls_key .*encrypted\.key is encrypted"),
        ("no key", r"server\.pem \(server\.tls_key is not set\) must hold a certificate and its private key"),
        ("no certificate", r"server\.tls_key is .*, but server\.tls_certificate is not set"),
    ],
)
def test_files_that_cannot_be_used_are_told(bad, case, words):
    certificate, key = bad[case]
    with pytest.raises(ConfigError, match=words):
        Certificate.of(ServerConfig(tls_certificate=certificate, tls_key=key))


def test_certificate_and_key_may_share_a_file(papers):
    both = papers.certificate
    both.write_bytes(both.read_bytes() + papers.key.read_bytes())

    assert Certificate.of(ServerConfig(tls_certificate=both)) is not None


def test_a_server_does_not_start_with_half_a_pair(papers):
    with pytest.raises(ConfigError, match="tls_certificate is not set"):
        Server(Config(server=replace(LOCAL, tls_key=papers.key)), LevelRecognizer(), {})


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"], ids=["nothing", "half a hello"])
async def test_a_handshake_that_does_not_end_is_cut_off(papers, said):
    async with running(settings(papers, open_timeout_s=0.1)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(said)

        assert await reader.read() == b""
        writer.close()


async def test_after_the_handshake_a_request_has_no_more_time_than_without_tls(papers):
    async with running(settings(papers, open_timeout_s=0.1)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=papers.client())
        writer.write(b"GET /healthz HTTP/1.1\r\n")

        assert await reader.read() == b""
        writer.close()


async def test_a_client_that_does_not_speak_tls_is_dropped_without_a_word_in_the_log(papers, caplog):
    async with running(settings(papers)) as server:
        with pytest.raises((InvalidMessage, ConnectionError)):
            await connect(f"ws://127.0.0.1:{server.port}/v1/stream", proxy=None)

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("kernel_is_patient")
async def test_a_client_that_never_reads_is_cut_off_under_tls(papers):
    async with running(settings(papers, send_timeout_s=1.0)) as server:
        receiver = socket.create_connection(("127.0.0.1", server.port))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        receiver.settimeout(0)
        named = {"sock": receiver, "server_hostname": "127.0.0.1", "max_queue": 1, "ping_interval": None}
        async with dialled(server.port, papers, **named) as client:
            await client.send('{"type":"start"}')
            flush = json.dumps({"type": "flush", "id": "x" * 128})
            with suppress(ConnectionClosed):
                while True:
                    await client.send(flush)
        await until(lambda: server.admission.count == 0)

        assert server.metrics._errors.labels("slow_client")._value.get() == 1


async def test_a_client_that_vanishes_under_tls_leaves_nothing_behind(papers):
    async with running(settings(papers)) as server:
        async with dialled(server.port, papers) as client:
            await client.send('{"type":"start"}')
            await until_heard(client, "ready")
            client.transport.abort()
        await until(lambda: server.admission.count == 0 and not server.guests)


async def test_what_one_client_sends_under_tls_is_parsed_in_turns(papers, monkeypatch):
    parsed: list[int] = []
    take = WebSocketProtocol.data_received

    def count(protocol: WebSocketProtocol, data: bytes) -> None:
        parsed.append(len(data))
        take(protocol, data)

    monkeypatch.setattr(WebSocketProtocol, "data_received", count)
    async with running(settings(papers)) as server, dialled(server.port, papers) as client:
        client.transport.write(b"\x8a\x80\0\0\0\0" * 40_000)
        heard = await listen(client)

    assert heard.code == 1008
    assert max(parsed) <= READ_BYTES


def test_a_certificate_that_goes_while_it_is_read_costs_nothing(papers, monkeypatch, caplog):
    certificate = Certificate(papers.certificate, papers.key)
    monkeypatch.setattr(tls, "check_readable", lambda *_: None)
    papers.key.unlink()
    certificate.reload()

    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert f"server.tls_key {papers.key} cannot be read: No such file or directory" in caplog.text
    assert "the certificate before stays" in caplog.text
