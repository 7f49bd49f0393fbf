"""Run cases, print what came of each, and write it down."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults import speech
from tests.faults.record import RESULTS, keep, row, summary
from tests.faults.scene import perform
from tests.faults.table import chosen


def main() -> int:
    """Return 0 if all passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Faults for a daemon, case by case.")
    parser.add_argument("names", nargs="*", metavar="ID", help="ids or groups of cases; none: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1, help="times as much where that makes sense (A24: thousands)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    try:
        cases = chosen(options.names)
    except ValueError as error:
        parser.error(str(error))
    failed = 0
    for case in cases:
        with TemporaryDirectory(prefix="faults-") as folder:
            outcome = asyncio.run(perform(case, options.seed, Path(folder), options.count))
        failed += not outcome.passed
        print(row(outcome), flush=True)
        keep(outcome, options.results)
    print(summary(options.results))
    if not options.names:
        print("The same with the demo model, and speech:", flush=True)
        failed += speech.main(["--seed", str(options.seed)])
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
