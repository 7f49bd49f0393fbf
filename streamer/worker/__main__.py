"""The child of the daemon: Whisper."""

from __future__ import annotations

from model.types import Recognizer
from streamer.recognition.loading import build_recognizer
from streamer.worker.host import main
from streamer.worker.messages import Start


def make(start: Start) -> Recognizer:
    """Load the model that the parent names. Raises ModelError for one that cannot be had."""
    return build_recognizer(start.model)


if __name__ == "__main__":
    main(make)
