"""Where settings come from: command line over environment (STREAMER_…) over TOML file over default."""

from __future__ import annotations

import os
import tomllib
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import msgspec
from cyclopts import App, CoercionError, env_var_split
from cyclopts.argument import ArgumentCollection
from cyclopts.config import Dict, Env

from streamer.config import Config, ConfigError, EndpointConfig, LogConfig, ModelConfig, SessionConfig

PREFIX = "STREAMER_"

SHORT_FORMS = {
    "--model": "--model.name",
    "--precision": "--model.precision",
    "--threads": "--model.threads",
    "--offline": "--model.offline",
    "--host": "--server.host",
    "--port": "--server.port",
    "--insecure": "--server.insecure",
    "--token-file": "--server.token-file",
    "--log-level": "--log.level",
}
"""What one types most; everything else has its full name only."""
MICROPHONE = "--microphone"
"""Short for --microphone.enabled, and for --microphone.device too if a device follows; true and false are none."""


@dataclass(frozen=True, slots=True)
class RecognitionSettings:
    """What recognition without a server can be told."""

    model: ModelConfig = field(default_factory=ModelConfig)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    session: SessionConfig = field(default_factory=SessionConfig)
    log: LogConfig = field(default_factory=lambda: LogConfig(level="WARNING"))


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What a command that only loads a model can be told."""

    model: ModelConfig = field(default_factory=ModelConfig)


class Environment(Env):
    """STREAMER_MODEL_NAME and so on: one variable a setting, the same in every command."""

    def __init__(self) -> None:
        super().__init__(PREFIX, command=False)

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Give settings that the command line has left open what the environment says."""
        # A section as a whole has no variable: STREAMER_SERVER is the address in the client commands, not a host.
        leaves = ArgumentCollection(leaf for leaf in arguments if not leaf.children)  # type: ignore[no-untyped-call]  # theirs
        super().__call__(app, commands, leaves)
        for leaf in leaves:
            for token in leaf.tokens:
                if leaf.hint is int and not may_be_whole(token.value):  # a file's are looked at where it is read
                    raise CoercionError(argument=leaf, token=token, target_type=int)


def may_be_whole(text: str) -> bool:
    """Say whether a text is anything but a number with a fraction, which Cyclopts would round."""
    try:
        return "." not in text or float(text).is_integer()
    except ValueError:
        return True  # no number at all, as whoever converts it says


def split_list(kind: Any, value: str, *, delimiter: str | None = None) -> list[str]:
    """Split the value of an environment variable as Cyclopts does, but for a list of texts that is a JSON array.

    Raises ConfigError for what begins as an array and is none.
    """
    if not (value.lstrip().startswith("[") and get_args(kind)[:1] == (str,)):
        return env_var_split(kind, value, delimiter=delimiter)
    try:
        return msgspec.json.decode(value, type=list[str])
    except msgspec.MsgspecError as error:
        raise ConfigError(f"a list that begins with [ must be a JSON array of texts, got {value!r}: {error}") from error


class SettingsFile:
    """A TOML file with a section for each part of Config; a command takes the sections it knows."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises ConfigError for a file that cannot be read, and for what is no setting."""
        self._path = path
        self._sections = read_sections(path)

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Give settings that nothing before has set what the file says."""
        here = {argument.name.removeprefix("--").partition(".")[0] for argument in arguments if "." in argument.name}
        known = {name: section for name, section in self._sections.items() if name in here}
        Dict(known, source=str(self._path), use_commands_as_keys=False)(app, commands, arguments)


def read_sections(path: Path) -> dict[str, dict[str, Any]]:
    """Read a settings file and check every name in it. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    sections = get_type_hints(Config)
    for name, section in data.items():
        if name not in sections:
            raise ConfigError(f"{path}: unknown section [{name}]{suggestion(name, sections)}")
        if not isinstance(section, dict):
            raise ConfigError(f"{path}: {name} must be a section, [{name}], got {section!r}")
        kinds = get_type_hints(sections[name])
        for key, value in section.items():
            if key not in kinds:
                raise ConfigError(f"{path}: unknown setting {key} in [{name}]{suggestion(key, kinds)}")
            if kinds[key] is int and not may_be_whole(str(value)):
                raise ConfigError(f"{path}: {name}.{key} must be a whole number, got {value!r}")
    return cast("dict[str, dict[str, Any]]", data)


def suggestion(word: str, known: Collection[str]) -> str:
    """Return a question that may help."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(known)}"


def full_names(tokens: Collection[str]) -> Iterator[str]:
    """Replace short forms of settings by their names, up to a `--`."""
    rest = deque(tokens)
    while rest:
        token = rest.popleft()
        if token == "--":  # noqa: S105  # an end of options, not a password
            yield token
            yield from rest
            return
        name, equals, value = token.partition("=")
        if name == MICROPHONE:
            # It may stand alone, or have the device after it; `serve` takes nothing else without a flag.
            named = bool(equals) or bool(rest and not rest[0].startswith("-"))
            device = (value if equals else rest.popleft()) if named else ""
            if device.lower() in {"true", "false"}:
                yield f"--microphone.enabled={device.lower()}"
                continue
            yield "--microphone.enabled"
            if named:
                yield f"--microphone.device={device}"
            continue
        yield SHORT_FORMS.get(name, name) + equals + value


def unknown_variables(app: App) -> list[str]:
    """Return warnings about STREAMER_ variables that no command reads: most often a misspelt setting."""
    known = {f"{PREFIX}CONFIG"}
    there = [name for name in sorted(os.environ) if name.startswith(PREFIX) and name not in known]
    if not there:
        return []  # as nearly always: to go through all settings of all commands takes longer than all else here
    for name in app:
        if name.startswith("-"):
            continue
        for argument in app[name].assemble_argument_collection():
            if not argument.children:
                known.add(PREFIX + argument.name.lstrip("-").upper().replace("-", "_").replace(".", "_"))
    return [
        f"the environment variable {name} is no setting{_nearest(name, known)}" for name in there if name not in known
    ]


def _nearest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
