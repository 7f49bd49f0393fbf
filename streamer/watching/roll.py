"""Things numbered 1, 2, 3 … in order, of which the oldest may be gone. Pure."""

from __future__ import annotations

from typing import Generic, TypeVar

Item = TypeVar("Item")


class Roll(Generic[Item]):
    """Items by their number; who appends to it also says what goes."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self.gone = 0
        """Number of the last item that is no longer there; 0 while all are."""

    def begin_after(self, number: int) -> None:
        """Count from the next number on: the items before it were never here. Raises ValueError if there are any."""
        if self.last:
            raise ValueError(f"item {self.last} is here already")
        self.gone = number

    def precede(self, earlier: Roll[Item]) -> None:
        """Put another roll's items before these. Raises ValueError if it does not end where this one begins."""
        if earlier.last != self.gone:
            raise ValueError(f"items up to {earlier.last} cannot precede items from {self.gone + 1} on")
        self._items = earlier._items + self._items
        self.gone = earlier.gone

    @property
    def last(self) -> int:
        """Number of the newest item; 0 before the first."""
        return self.gone + len(self._items)

    def append(self, item: Item) -> None:
        """Add the next item."""
        self._items.append(item)

    def drop(self, count: int) -> None:
        """Let the oldest `count` items go."""
        count = min(count, len(self._items))
        del self._items[:count]
        self.gone += count

    def item(self, number: int) -> Item:
        """Return an item. Raises IndexError for one that is gone or not there yet."""
        if not self.gone < number <= self.last:
            raise IndexError(f"items {self.gone + 1} to {self.last} are here, not {number}")
        return self._items[number - self.gone - 1]

    def after(self, number: int) -> list[Item]:
        """Return the items with greater numbers that are still there."""
        return self._items[max(0, number - self.gone) :]
