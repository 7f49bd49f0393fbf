"""`streamer serve` with a recognizer that has faults; takes its flags, and --fault as often as one likes."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Parameter

from streamer.commands.outcome import expected
from streamer.commands.serve import run_daemon
from streamer.config import Config
from tests.fakes import LevelVad
from tests.faulty.child import command

app = App(result_action="return_value")


@app.default
def main(
    *,
    fault: tuple[str, ...] = (),
    settings: Annotated[Config, Parameter(name="*")] = Config(),  # noqa: B008
) -> int:
    """Run the daemon."""
    try:
        return run_daemon(settings, command(fault), lambda _: LevelVad())
    except BaseException as error:
        outcome = expected(error)
        if outcome is None:
            raise
        sys.stderr.write(f"streamer: {outcome[0]}\n")
        return outcome[1]


if __name__ == "__main__":
    sys.exit(app())
