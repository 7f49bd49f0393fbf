"""Real-time streaming speech recognition: audio in, committed words out."""

__version__ = "0.1.0"
