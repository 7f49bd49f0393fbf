"""What every section checks its values with."""

from __future__ import annotations


class ConfigError(Exception):
    """A setting that cannot be: the operator's to mend. Exit code 78."""


def require(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless low <= value <= high."""
    if not low <= value <= high:  # also catches NaN
        raise ConfigError(f"{name} must be in [{written(low)}, {written(high)}], got {written(value)}")


def written(value: float) -> str:
    """Return a number with all its digits: a bound and a value just beyond it must not look the same."""
    return str(value) if isinstance(value, int) else f"{value:.15g}"
