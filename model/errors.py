"""The error of everything that loads models."""


class ModelError(Exception):
    """A checkpoint, model name or model file that cannot be used; the message says which and why."""
