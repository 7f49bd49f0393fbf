"""`streamer serve`: what is found out before a model is loaded."""

from __future__ import annotations

import socket

import pytest
import trustme

from streamer.__main__ import run
from streamer.commands import serve
from streamer.commands.outcome import Exit
from streamer.config import ServerConfig
from tests.certificates import issue
from tests.streamer.commands.console import one_line


def test_a_port_that_is_taken_is_told_before_a_model_is_loaded(monkeypatch, capsys):
    monkeypatch.setattr(serve, "recognizer_for", lambda *_: pytest.fail("the model was loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert run(["serve", "--port", str(port)]) == Exit.UNAVAILABLE

    assert str(port) in one_line(capsys.readouterr().err)


def test_an_open_address_without_a_token_is_refused_before_a_model_is_loaded(monkeypatch, capsys):
    monkeypatch.setattr(serve, "recognizer_for", lambda *_: pytest.fail("the model was loaded"))

    assert run(["serve", "--host", "0.0.0.0", "--port", "0"]) == Exit.CONFIGURATION

    assert "server.insecure" in one_line(capsys.readouterr().err)


def test_a_bad_certificate_ends_the_daemon_with_78_before_a_model_is_loaded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(serve, "recognizer_for", lambda *_: pytest.fail("the model was loaded"))
    mine, other = (issue(tmp_path, trustme.CA(), name) for name in ("mine", "other"))
    flags = ["--server.tls-certificate", str(mine.certificate), "--server.tls-key", str(other.key)]

    assert (run(["serve", "--port", "0", *flags]), int(Exit.CONFIGURATION)) == (Exit.CONFIGURATION, 78)

    assert "do not belong together" in one_line(capsys.readouterr().err)


def test_a_model_that_is_named_and_cannot_be_had_is_an_error(capsys):
    assert run(["serve", "--port", "0", "--offline", "--model", "nobody/nothing"]) == Exit.UNAVAILABLE

    assert "nobody/nothing" in one_line(capsys.readouterr().err)


def test_a_model_whose_name_no_client_can_be_told_is_refused_before_it_is_loaded(monkeypatch, capsys):
    monkeypatch.setattr(serve, "recognizer_for", lambda *_: None)

    assert run(["serve", "--port", "0", "--model", "folder\udcff"]) == Exit.CONFIGURATION

    assert r"model.name must be UTF-8, got 'folder\udcff'" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("config", "port", "line"),
    [
        (ServerConfig(), 8765, "listening on ws://127.0.0.1:8765/v1/stream\n"),
        (ServerConfig(host="::1"), 1, "listening on ws://[::1]:1/v1/stream\n"),
        (ServerConfig(), 0, "listening on the inherited socket\n"),
    ],
)
def test_the_daemon_says_where_it_listens(capsys, config, port, line):
    serve.announce(config, port)

    assert capsys.readouterr().out == line
