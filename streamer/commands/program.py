"""Commands and wiring only: what there is, where settings come from, how trouble ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from streamer import __doc__ as summary
from streamer import __version__
from streamer.commands.complaints import complain
from streamer.commands.demo import demo
from streamer.commands.devices import devices
from streamer.commands.doctor import doctor
from streamer.commands.listen import listen
from streamer.commands.models import models
from streamer.commands.outcome import Exit, expected, is_output
from streamer.commands.send import send
from streamer.commands.serve import serve
from streamer.commands.settings import Environment, SettingsFile, full_names, split_list, unknown_variables
from streamer.commands.token import token
from streamer.commands.transcribe import transcribe


def application() -> App:
    """Return all commands; `--config` belongs to each of them, so it is read before any."""
    app = App(
        name="streamer",
        help=summary,
        version=__version__,
        config=[Environment()],
        default_parameter=Parameter(env_var_split=split_list),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    app.meta.suppress_keyboard_interrupt = False
    app.meta.group_parameters = "Settings file"
    app.command(models)
    for command in (serve, listen, send, transcribe, demo, devices, doctor, token):
        app.command(command)

    @app.meta.default
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)], config: Path | None = None
    ) -> int:
        """Run a command with the settings of a file.

        Args:
            tokens: The command and what belongs to it.
            config: TOML file with the settings that neither the command line nor the environment makes.
        """
        if config is not None:
            app.config = [Environment(), SettingsFile(config)]
        return int(app(list(full_names(tokens)), exit_on_error=False, print_error=False) or Exit.OK)

    return app


def run(tokens: Sequence[str]) -> int:
    """Run a command line and return its exit code; what the user can mend is told in one line."""
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # as long as the program lives
    app = application()
    for warning in unknown_variables(app):
        complain(warning)
    try:
        return perform(app, tokens)
    except CycloptsError as error:
        complain(str(error))
        return Exit.CONFIGURATION if not is_usage(error) else Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:
        outcome = expected(error)
        if outcome is None:
            raise
        message, code = outcome
        if message:
            complain(message)
        if is_output(error):
            # Nobody takes our output any more; Python would complain again when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code


def perform(app: App, tokens: Sequence[str]) -> int:
    """Run a command line to its last output: what cannot be written is told, not found out when the program ends."""
    status = int(app.meta(list(tokens), exit_on_error=False, print_error=False) or Exit.OK)
    sys.stdout.flush()
    return status


def is_usage(error: CycloptsError) -> bool:
    """Tell a mistake on the command line from one in the environment or a file."""
    tokens = [token for token in (getattr(error, "token", None),) if token]
    if error.argument is not None:
        tokens += error.argument.tokens
    return all(token.source == "cli" for token in tokens)
