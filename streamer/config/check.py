"""What every section checks its values with."""

from __future__ import annotations


class ConfigError(Exception):
    """A setting that cannot be: the operator's to mend. Exit code 78."""


def require(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless low <= value <= high."""
    if not low <= value <= high:  # also catches NaN
        raise ConfigError(f"{name} must be in [{low:g}, {high:g}], got {value:g}")
