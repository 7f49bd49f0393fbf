"""How often a peer calls one of its own methods."""

from __future__ import annotations

from typing import Any


class Calls:
    """Counts the calls of one object's method, from now on."""

    def __init__(self, owner: Any, method: str) -> None:
        self.number = 0
        original = getattr(owner, method)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.number += 1
            return original(*arguments, **options)

        setattr(owner, method, counted)
