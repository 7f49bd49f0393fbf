"""The process's entrance: nothing is imported here that takes time, so that a signal is heard from the beginning."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from streamer.early import ended_by_signals, hold_hangups

INTERRUPTED = 130
"""`Exit.INTERRUPTED`, which is not imported yet."""


def run(tokens: Sequence[str]) -> int:
    """Run a command line and return its exit code; what the user can mend is told in one line."""
    return int(import_module("streamer.commands.program").run(tokens))


def command_of(tokens: Sequence[str]) -> str:
    """Return the command's name: the first word that is neither a flag nor the settings file."""
    words = iter(tokens)
    for word in words:
        if word == "--config":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def main() -> None:
    """Run the command line of this process."""
    tokens = sys.argv[1:]
    try:
        if command_of(tokens) == "serve":
            hold_hangups()
            with ended_by_signals():
                code = run(tokens)
        else:
            code = run(tokens)
    except KeyboardInterrupt:  # before a command was there to take it
        code = INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
