"""Captions as they arrive: in a terminal, as plain lines, or as the messages themselves."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self, TextIO

import msgspec
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from clients.received import FromServer
from streamer.protocols import messages

COMMITTED = "bold"
PARTIAL = "dim"
TROUBLE = "yellow"

ENCODER = msgspec.json.Encoder()


class Display(Protocol):
    """Somewhere to show a stream; a context manager, because a terminal has to be left tidy."""

    def show(self, message: FromServer) -> None:
        """Take a message of the stream."""
        ...

    def notice(self, text: str) -> None:
        """Say something about the source of the audio, such as a microphone that was lost."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def trouble(message: FromServer) -> str | None:
    """Put a gap or a warning into words; None for any other message."""
    match message:
        case messages.Gap(start, end, reason):
            return f"{end - start:.1f} s at {start:.1f} s were not transcribed: {reason}"
        case messages.Warning(_, text):
            return text
        case _:
            return None


class LiveCaptions:
    """Captions in a terminal: committed words solid, the tail that may still change dim, the lag below.

    Committed text never changes, so a full line of it leaves the live part of the screen at once and belongs to the
    terminal's own scroll-back; what is redrawn stays as small as the unfinished line, however long somebody speaks.
    """

    def __init__(self, console: Console | None = None, source: str = "") -> None:
        """`source` is named in the status line, a file or a microphone for example."""
        self._console = console or Console()
        self._source = source
        self._committed = ""
        self._partial = ""
        self._lag: float | None = None
        self._live = Live(self, console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_line()
        self._live.stop()

    def show(self, message: FromServer) -> None:
        """Draw what the message changes."""
        match message:
            case messages.Partial():
                self._partial = message.text
            case messages.Commit():
                self._committed += message.text
                self._partial = ""
                self._release_full_lines()
            case messages.Final():
                self._end_line()
            case messages.Gap() | messages.Warning():
                self._end_line()
                self.notice(trouble(message) or "")
            case _:
                pass
        lag = getattr(message, "lag", None)
        if isinstance(lag, float):
            self._lag = lag
        self._live.refresh()

    def notice(self, text: str) -> None:
        """Print a line of its own above what is live."""
        self._console.print(Text(text, style=TROUBLE))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the unfinished line and the status."""
        tail = self._partial if self._committed else self._partial.lstrip()
        yield Text.assemble((self._committed, COMMITTED), (tail, PARTIAL))
        parts = [self._source] if self._source else []
        if self._lag is not None:
            parts.append(f"{self._lag:.1f} s behind")
        yield Text(" · ".join(parts), style=PARTIAL, no_wrap=True, overflow="ellipsis")

    def _release_full_lines(self) -> None:
        lines = Text(self._committed.lstrip(), style=COMMITTED).wrap(self._console, self._console.width)
        self._committed = lines[-1].plain if lines else ""  # first: printing draws the live part again
        for line in lines[:-1]:
            self._console.print(line)

    def _end_line(self) -> None:
        line, self._committed, self._partial = self._committed.strip(), "", ""
        if line:
            self._console.print(Text(line, style=COMMITTED))


class PlainCaptions:
    """One line an utterance, when it is decided; trouble goes to standard error."""

    def __init__(self, output: TextIO | None = None, errors: TextIO | None = None) -> None:
        self._output = output or sys.stdout
        self._errors = errors or sys.stderr
        self._committed = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_line()  # a stream that broke off keeps what was committed

    def show(self, message: FromServer) -> None:
        """Print what the message completes."""
        match message:
            case messages.Commit():
                self._committed += message.text
            case messages.Final():
                self._end_line()
            case messages.Gap() | messages.Warning():
                self.notice(trouble(message) or "")
            case _:
                pass

    def notice(self, text: str) -> None:
        """Print to standard error."""
        print(text, file=self._errors, flush=True)

    def _end_line(self) -> None:
        if self._committed.strip():
            print(self._committed.strip(), file=self._output, flush=True)
        self._committed = ""


class JsonCaptions:
    """Every message as one line of JSON, as it was on the wire."""

    def __init__(self, output: TextIO | None = None, errors: TextIO | None = None) -> None:
        self._output = output or sys.stdout
        self._errors = errors or sys.stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, message: FromServer) -> None:
        """Print the message."""
        print(ENCODER.encode(message).decode(), file=self._output, flush=True)

    def notice(self, text: str) -> None:
        """Print to standard error."""
        print(text, file=self._errors, flush=True)
