"""What several of these tests need."""

from __future__ import annotations

from tests.streamer.conftest import gated

__all__ = ["gated"]
