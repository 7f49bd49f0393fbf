"""The audio that a server has not decided yet, kept so that it can be sent again. Pure."""

from __future__ import annotations

from collections import deque


class Ring:
    """The newest frames of a stream, addressed by their number; what is acknowledged is let go.

    A frame is one sample of every channel. When more is added than it may hold, the oldest goes, and is lost if it was
    not acknowledged.
    """

    def __init__(self, frame_bytes: int, capacity: int) -> None:
        """Hold `capacity` frames at most."""
        self._frame_bytes = frame_bytes
        self._capacity = capacity
        self._pieces: deque[bytes] = deque()
        self._rest = b""
        self._skip = 0  # bytes at the front of the first piece that are gone
        self.start = 0
        """The first frame that is held."""
        self.end = 0
        """The frame after the last one."""

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def room(self) -> int:
        """Frames that can be added without losing one."""
        return self._capacity - len(self)

    def start_after(self, frames: int) -> int:
        """Return the first of the frames that are still held when so many more have been added."""
        return max(self.start, self.end + frames - self._capacity)

    def append(self, data: bytes) -> None:
        """Add audio; bytes of a frame that is not complete wait for the next."""
        data = self._rest + data
        whole = len(data) - len(data) % self._frame_bytes
        self._rest = data[whole:]
        if whole:
            self._pieces.append(data[:whole])
            self.end += whole // self._frame_bytes
            self.let_go(self.end - self._capacity)

    @property
    def rest(self) -> bytes:
        """Bytes of a frame that is not complete."""
        return self._rest

    def let_go(self, frame: int) -> None:
        """Forget what lies before a frame, if it is not forgotten already."""
        gone = (min(frame, self.end) - self.start) * self._frame_bytes
        if gone <= 0:
            return
        self.start += gone // self._frame_bytes
        gone += self._skip
        while self._pieces and gone >= len(self._pieces[0]):
            gone -= len(self._pieces.popleft())
        self._skip = gone

    def read(self, frame: int, most: int) -> bytes:
        """Return up to `most` frames from a frame on. Raises IndexError for one that is not held."""
        if not self.start <= frame <= self.end:
            raise IndexError(f"frame {frame} is not held; the ring holds {self.start}..{self.end}")
        begin = self._skip + (frame - self.start) * self._frame_bytes
        wanted = min(most, self.end - frame) * self._frame_bytes
        parts: list[bytes] = []
        for piece in self._pieces:
            if begin < len(piece) and wanted:
                parts.append(piece[begin : begin + wanted])
                wanted -= len(parts[-1])
            begin = max(0, begin - len(piece))
            if not wanted:
                break
        return b"".join(parts)
