"""Settings: where they come from, which source wins, and what is said of those that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import get_type_hints

import pytest

from streamer import logs
from streamer.__main__ import run
from streamer.commands import serve as serve_command
from streamer.commands.outcome import Exit
from streamer.commands.settings import full_names
from streamer.config import (
    Config,
    ConfigError,
    EncoderContext,
    EncoderReuse,
    LogFormat,
    ModelConfig,
    ServerConfig,
    SessionConfig,
)
from tests.streamer.commands.console import one_line

Settings = Callable[..., Config]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Return what `streamer serve` hands to the server for a command line and a settings file."""
    served: list[Config] = []

    async def load_and_serve(config: Config, *_: object, **__: object) -> None:
        served.append(config)

    monkeypatch.setattr(serve_command, "import_module", lambda _: SimpleNamespace(load_and_serve=load_and_serve))
    monkeypatch.setattr(serve_command, "foreseen", lambda _: None)
    monkeypatch.setattr(serve_command, "check_address", lambda _: None)
    monkeypatch.setattr(logs, "configure", lambda _: None)

    def collect(*tokens: str, toml: str = "") -> Config:
        if toml:
            (tmp_path / "streamer.toml").write_text(toml)
            tokens = ("--config", str(tmp_path / "streamer.toml"), *tokens)
        assert run(["serve", *tokens]) == Exit.OK
        return served[-1]

    return collect


def test_without_a_word_everything_has_its_default(settings):
    assert settings() == Config()


def test_a_flag_wins_over_the_environment_the_environment_over_the_file_and_the_file_over_the_default(
    settings, monkeypatch
):
    toml = "[server]\nport = 1\nmax_sessions = 2\nidle_timeout_s = 3.5\n"
    monkeypatch.setenv("STREAMER_SERVER_PORT", "11")
    monkeypatch.setenv("STREAMER_SERVER_MAX_SESSIONS", "12")

    found = settings("--server.port", "111", toml=toml).server

    assert (found.port, found.max_sessions, found.idle_timeout_s) == (111, 12, 3.5)
    assert found.host == ServerConfig().host


def test_sources_may_set_different_fields_of_one_section(settings, monkeypatch):
    monkeypatch.setenv("STREAMER_MODEL_DEVICE", "cuda:1")

    found = settings("--model", "demo", toml="[model]\nprecision = 'float16'\noffline = true\n").model

    assert found == ModelConfig(name="demo", device="cuda:1", precision="float16", offline=True)


@pytest.mark.parametrize(
    ("tokens", "section", "name", "value"),
    [
        (["--model", "demo"], "model", "name", "demo"),
        (["--model=demo"], "model", "name", "demo"),
        (["--model.name", "demo"], "model", "name", "demo"),
        (["--precision", "float16"], "model", "precision", "float16"),
        (["--threads", "3"], "model", "threads", 3),
        (["--offline"], "model", "offline", True),
        (["--model.encoder-context", "dynamic"], "model", "encoder_context", EncoderContext.DYNAMIC),
        (["--model.encoder-reuse", "on"], "model", "encoder_reuse", EncoderReuse.ON),
        (["--host", "::1"], "server", "host", "::1"),
        (["--port", "0"], "server", "port", 0),
        (["--insecure"], "server", "insecure", True),
        (["--token-file", "/etc/token"], "server", "token_file", Path("/etc/token")),
        (["--log-level", "DEBUG"], "log", "level", "DEBUG"),
        (["--log.format", "json"], "log", "format", LogFormat.JSON),
        (["--endpoint.hangover-ms", "900"], "endpoint", "hangover_ms", 900),
        (["--session.prompt-tokens", "0"], "session", "prompt_tokens", 0),
        (["--session.languages", "en", "--session.languages", "de"], "session", "languages", ("en", "de")),
    ],
)
def test_flags_set_what_they_name(settings, tokens, section, name, value):
    assert getattr(getattr(settings(*tokens), section), name) == value


def test_every_setting_can_be_made_in_the_environment(settings, monkeypatch):
    other = {int: "1000", float: "60.5", bool: "true", str: "x", Path | None: "x", tuple[str, ...]: "en de"}
    special = {
        "STREAMER_LOG_LEVEL": "ERROR", "STREAMER_LOG_FORMAT": "json", "STREAMER_MODEL_ENCODER_CONTEXT": "full",
        "STREAMER_MODEL_ENCODER_REUSE": "off",
        "STREAMER_ENDPOINT_VAD_AGGRESSIVENESS": "3", "STREAMER_SESSION_PROMPT_TOKENS": "7",
        "STREAMER_SESSION_TRIM_AFTER_MS": "9000", "STREAMER_SESSION_MAX_BACKLOG_MS": "36000",
        "STREAMER_SERVER_MAX_MESSAGE_BYTES": "5000", "STREAMER_SERVER_MAX_LOAD": "0.5",
        "STREAMER_SESSION_COMMIT_POLICY": "agreement", "STREAMER_SESSION_ATTENTION_PROBABILITY": "0.5",
        "STREAMER_HTTP_HANGOVER_MS": "900", "STREAMER_HTTP_MAX_UPLOAD_BYTES": "5000",
        "STREAMER_JOURNAL_DURABILITY": "normal", "STREAMER_JOURNAL_MAX_BYTES": "2000000",
        "STREAMER_MICROPHONE_TASK": "translate", "STREAMER_WORKER_PROCESS": "own",
    }  # fmt: skip
    for section, kind in get_type_hints(Config).items():
        for name, hint in get_type_hints(kind).items():
            variable = f"STREAMER_{section}_{name}".upper()
            monkeypatch.setenv(variable, special.get(variable) or other[hint])

    found = settings()

    same = [
        f"{section.name}.{item.name}"
        for section in fields(Config)
        for item in fields(getattr(found, section.name))
        if getattr(getattr(found, section.name), item.name) == getattr(getattr(Config(), section.name), item.name)
    ]
    assert same == []


def test_the_settings_file_can_be_named_in_the_environment(settings, monkeypatch, tmp_path):
    (tmp_path / "a.toml").write_text("[server]\nport = 5\n")
    monkeypatch.setenv("STREAMER_CONFIG", str(tmp_path / "a.toml"))

    assert settings().server.port == 5


def test_the_address_for_clients_is_no_host_for_the_daemon(settings, monkeypatch):
    monkeypatch.setenv("STREAMER_SERVER", "ws://elsewhere:1")

    assert settings() == Config()


def test_the_settings_file_of_the_systemd_unit_is_valid(settings):
    path = Path(__file__).parents[2] / "systemd" / "streamer.toml"

    settings(toml=path.read_text())


@pytest.mark.parametrize(
    ("value", "hotwords"),
    [
        ("Ada Boro", ("Ada", "Boro")),
        ('["New York", "[Ada]"]', ("New York", "[Ada]")),
        ("[]", ()),
    ],
)
def test_a_list_in_the_environment_is_words_or_a_json_array(settings, monkeypatch, value, hotwords):
    monkeypatch.setenv("STREAMER_MICROPHONE_HOTWORDS", value)

    assert settings().microphone.hotwords == hotwords


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("value", ["[REC] one", "[1]"])
def test_what_begins_as_a_json_array_and_is_none_is_told_in_one_line(capsys, monkeypatch, value):
    monkeypatch.setenv("STREAMER_MICROPHONE_HOTWORDS", value)

    assert run(["serve"]) == Exit.CONFIGURATION
    assert f"must be a JSON array of texts, got '{value}'" in one_line(capsys.readouterr().err)


def test_a_fraction_where_a_whole_number_is_wanted_is_not_rounded(capsys, monkeypatch, settings):
    assert settings("--server.max-sessions", "4.0").server.max_sessions == 4
    assert run(["serve", "--server.max-sessions", "3.7"]) == Exit.USAGE
    assert 'unable to convert "3.7" into int' in one_line(capsys.readouterr().err)

    monkeypatch.setenv("STREAMER_SERVER_MAX_SESSIONS", "3.7")
    assert run(["serve"]) == Exit.CONFIGURATION
    assert 'unable to convert "3.7" into int' in one_line(capsys.readouterr().err)


def test_every_setting_is_explained_in_the_help(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    assert run(["serve", "--help"]) == 0

    text = capsys.readouterr().out
    flags = [
        f"--{section}.{item.name.replace('_', '-')}"
        for section, kind in get_type_hints(Config).items()
        for item in fields(kind)
    ]
    assert [flag for flag in flags if flag not in text] == []
    assert "Silence after which the utterance is finalised." in text
    assert "STREAMER_ENDPOINT_HANGOVER_MS" in text


NOT_A_SETTINGS_FILE = [
    ("[server]\nprot = 1\n", "unknown setting prot in [server]; did you mean port?"),
    ("[server]\nmax_sessions = 3.7\n", "server.max_sessions must be a whole number, got 3.7"),
    ("[server]\nmax_sessions = ' 3.7'\nport = 70000\n", "server.max_sessions must be a whole number, got ' 3.7'"),
    ("[sever]\nport = 1\n", "unknown section [sever]; did you mean server?"),
    (
        "[colour]\n",
        f"unknown section [colour]; there are: {', '.join(get_type_hints(Config))}",
    ),
    ("model = 'demo'\n", "model must be a section, [model], got 'demo'"),
    ("[server\n", "Expected ']'"),
    ("[log]\nformat = 'xml'\n", "xml"),
    ("[endpoint]\nonset_window_ms = 50\n", "endpoint.onset_window_ms must be in [90, 2000], got 50"),
]
NO_SERVER_SETTING = [
    ("[server]\nport = 'many'\n", 'unable to convert "many" into int'),
    ("[server]\nport = nan\n", 'unable to convert "nan" into int'),
    ("[server]\nport = 70000\n", "server.port must be in [0, 65535], got 70000"),
]


@pytest.mark.parametrize(
    ("command", "toml", "complaint"),
    [
        *[("serve", *case) for case in NOT_A_SETTINGS_FILE + NO_SERVER_SETTING],
        *[("listen", *case) for case in NOT_A_SETTINGS_FILE],
    ],
)
def test_a_settings_file_that_cannot_be_used_is_told_in_one_line(capsys, tmp_path, command, toml, complaint):
    (tmp_path / "a.toml").write_text(toml)

    status = run([command, "--config", str(tmp_path / "a.toml")])

    captured = capsys.readouterr()
    assert status == Exit.CONFIGURATION
    assert complaint in captured.err
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("streamer: ")
    assert captured.out == ""


def test_a_settings_file_that_is_missing_is_named(capsys):
    assert run(["serve", "--config", "/nowhere/a.toml"]) == Exit.CONFIGURATION

    assert capsys.readouterr().err == "streamer: /nowhere/a.toml: No such file or directory\n"


def test_a_value_in_the_environment_that_cannot_be_used_is_named(capsys, monkeypatch):
    monkeypatch.setenv("STREAMER_SERVER_PORT", "many")

    assert run(["serve"]) == Exit.CONFIGURATION

    assert "STREAMER_SERVER_PORT" in capsys.readouterr().err


def test_an_environment_variable_that_is_no_setting_is_pointed_out(settings, capsys, monkeypatch):
    monkeypatch.setenv("STREAMER_SERVER_PROT", "5")
    monkeypatch.setenv("STREAMER_MODEL", "demo")
    monkeypatch.setenv("STREAMER_TOKEN", "for clients")

    settings()

    assert capsys.readouterr().err.splitlines() == [
        "streamer: the environment variable STREAMER_MODEL is no setting; did you mean STREAMER_MODEL_NAME?",
        "streamer: the environment variable STREAMER_SERVER_PROT is no setting; did you mean STREAMER_SERVER_PORT?",
    ]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ServerConfig(port=-1), r"server.port must be in \[0, 65535\], got -1"),
        (lambda: ServerConfig(idle_timeout_s=float("nan")), "server.idle_timeout_s"),
        (lambda: ModelConfig(max_batch=0), "model.max_batch"),
        (
            lambda: ServerConfig(max_message_bytes=67_108_865),
            r"max_message_bytes must be in \[4096, 67108864\], got 67108865$",
        ),
        (lambda: ServerConfig(open_timeout_s=3600.0001), r"open_timeout_s must be in \[0.05, 3600\], got 3600.0001$"),
        (lambda: SessionConfig(left_context_ms=4001), r"left_context_ms must be in \[0, 4000\], got 4001$"),
        (lambda: ServerConfig(max_sessions=10**400), r"max_sessions must be in \[1, 100000\], got 10+$"),
    ],
)
def test_a_setting_out_of_range_names_value_and_range(make, complaint):
    with pytest.raises(ConfigError, match=complaint):
        make()


@pytest.mark.parametrize(
    ("typed", "full"),
    [
        (["serve", "--microphone"], ["serve", "--microphone.enabled"]),
        (["serve", "--microphone", "--port", "0"], ["serve", "--microphone.enabled", "--server.port", "0"]),
        (["serve", "--microphone", "USB"], ["serve", "--microphone.enabled", "--microphone.device=USB"]),
        (["serve", "--microphone=USB mic"], ["serve", "--microphone.enabled", "--microphone.device=USB mic"]),
        (["serve", "--microphone.device", "USB"], ["serve", "--microphone.device", "USB"]),
        (["serve", "--microphone=false"], ["serve", "--microphone.enabled=false"]),
        (["serve", "--microphone", "True"], ["serve", "--microphone.enabled=true"]),
    ],
    ids=" ".join,
)
def test_the_microphone_of_the_daemon_may_be_named_or_not(typed, full):
    assert list(full_names(typed)) == full
