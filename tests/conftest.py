"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

# Machines are shared, so no example has a deadline; in CI examples are the same in every run.
settings.register_profile("streamer", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("streamer")
