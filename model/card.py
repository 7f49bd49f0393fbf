"""What a model's card says of how it may be run: the part of `config.json` that is ours, `streamer`."""

from __future__ import annotations

from model.checkpoint import Checkpoint
from model.config import ModelError


def knows_dynamic(checkpoint: Checkpoint) -> bool:
    """Say whether the model's card says that it was trained for less than 30 s of context."""
    return checkpoint.streamer.get("encoder_context") == "dynamic"


def bears_reuse(checkpoint: Checkpoint) -> bool:
    """Say whether the model's card says that it was measured with positions that are not encoded again."""
    return bool(checkpoint.streamer.get("encoder_reuse"))


def sure_end(checkpoint: Checkpoint) -> float:
    """Return how sure the model's card says that it is of ends, see `Guards.sure_end`; 0 if it says nothing.

    Raises ModelError for what is no probability.
    """
    said = checkpoint.streamer.get("sure_end", 0.0)
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not 0 <= said <= 1:
        raise ModelError(f'"sure_end" in config.json must be a number in 0..1, got {said!r}')
    return float(said)
