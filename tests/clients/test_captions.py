"""What stands on the screen, as a terminal shows it."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from clients.captions import JsonCaptions, LiveCaptions, PlainCaptions
from streamer.protocols import messages

BOLD, DIM, YELLOW, OFF = "\x1b[1m", "\x1b[2m", "\x1b[33m", "\x1b[0m"


def partial(text: str, lag: float = 0.5) -> messages.Partial:
    return messages.Partial(1, text, 0.0, 1.0, lag)


def commit(text: str, number: int = 1) -> messages.Commit:
    return messages.Commit(number, 1, text, 0.0, 1.0, lag=0.25)


def final(text: str) -> messages.Final:
    return messages.Final(1, text, 0.0, 1.0, "en")


def terminal(width: int = 40) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=12, force_terminal=True, color_system="standard", legacy_windows=False,
        _environ={},
    )  # fmt: skip


def live_part(captions: LiveCaptions) -> list[str]:
    """Return the lines that may still change, with their styles."""
    console = terminal()
    console.print(captions)
    return console.file.getvalue().splitlines()


def screen(console: Console) -> list[str]:
    """Return the lines that stand on the screen in the end, without styles."""
    return displayed(console.file.getvalue())


def displayed(text: str) -> list[str]:
    """Return the lines that a terminal shows after this text."""
    lines, row, column = [""], 0, 0
    for control, character in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z])|(.|\n)", text):
        match control or character:
            case "\r":
                column = 0
            case "\n":
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            case "\x1b[1A":
                row -= 1
            case "\x1b[2K":
                lines[row] = ""
            case str() as printed if not control:
                lines[row] = lines[row][:column].ljust(column) + printed + lines[row][column + 1 :]
                column += 1
    return [line.rstrip() for line in lines if line.strip()]


class Film(io.StringIO):
    """Keeps what was written after each write: a frame of what the user sees."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[str] = []

    def write(self, text: str) -> int:
        written = super().write(text)
        self.frames.append(self.getvalue())
        return written


def written(console: Console) -> str:
    return console.file.getvalue()


def test_committed_words_are_solid_and_the_tail_is_dim():
    captions = LiveCaptions(terminal())
    captions.show(commit("one two"))
    captions.show(partial(" three"))

    assert live_part(captions)[0] == f"{BOLD}one two{OFF}{DIM} three{OFF}"


def test_a_new_partial_replaces_the_one_before_it():
    captions = LiveCaptions(terminal())
    captions.show(partial("won"))
    captions.show(partial("one"))

    assert live_part(captions)[0] == f"{DIM}one{OFF}"


def test_a_commit_ends_the_partial():
    captions = LiveCaptions(terminal())
    captions.show(partial("one to"))
    captions.show(commit("one"))

    assert live_part(captions)[0] == f"{BOLD}one{OFF}"


def test_the_status_names_the_source_and_the_lag():
    captions = LiveCaptions(terminal(), source="speech.wav")
    captions.show(partial("one", lag=1.25))

    assert live_part(captions)[1] == f"{DIM}speech.wav · 1.2 s behind{OFF}"


def test_the_source_is_named_before_anything_is_said_in_one_line_however_long_its_name():
    console = terminal(width=20)
    with LiveCaptions(console, source="a long name of a recording.wav"):
        assert screen(console) == ["a long name of a re…"]


def test_a_finished_utterance_leaves_the_live_part_and_stays_on_the_screen():
    console = terminal()
    with LiveCaptions(console) as captions:
        captions.show(commit("one two"))
        captions.show(final("one two"))
        captions.show(partial("three"))

        assert screen(console) == ["one two", "three", "0.5 s behind"]
    assert screen(console) == ["one two"]


def test_no_word_is_seen_twice_while_an_utterance_grows_and_ends():
    console = terminal(width=20)
    console.file = Film()
    text = ""
    with LiveCaptions(console) as captions:
        for number in range(12):
            captions.show(partial(f" word{number}"[not text :]))
            captions.show(commit(f" word{number}"[not text :], number + 1))
            text += f" word{number}"[not text :]

            assert " ".join(screen(console)[:-1]).split() == text.split()
        captions.show(final(text))

    seen = [re.findall(r"word\d+", " ".join(displayed(frame))) for frame in console.file.frames]
    assert [words for words in seen if len(words) != len(set(words))] == []


def test_a_long_utterance_is_released_line_by_line_and_nothing_twice():
    console = terminal(width=20)
    captions = LiveCaptions(console)  # not started: only what is released is written
    words = [f"word{number:02}" for number in range(30)]
    for number, word in enumerate(words):
        captions.show(commit(f"{' ' if number else ''}{word}", number + 1))

        assert len(captions._committed) <= 20
    captions.show(final(" ".join(words)))

    plain = written(console).replace(BOLD, "").replace(OFF, "")
    assert plain.split() == words
    assert max(len(line) for line in plain.splitlines()) <= 20


def test_what_was_committed_stays_when_the_stream_breaks_off():
    console = terminal()
    with LiveCaptions(console) as captions:
        captions.show(commit("one"))
        captions.show(partial(" two"))

    assert screen(console) == ["one"]


def test_the_cursor_is_given_back():
    console = terminal()
    with pytest.raises(RuntimeError), LiveCaptions(console):
        raise RuntimeError("anything")

    assert written(console).rindex("\x1b[?25h") > written(console).rindex("\x1b[?25l")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (messages.Gap(12.0, 13.5, "recognition failed"), "1.5 s at 12.0 s were not transcribed:"),
        (messages.Warning("window_full", "the window is full"), "the window is full"),
    ],
    ids=["gap", "warning"],
)
def test_trouble_stands_after_the_words_before_it(message, text):
    console = terminal()
    captions = LiveCaptions(console)
    captions.show(commit("one"))
    captions.show(message)
    captions.show(commit(" two", 2))

    lines = written(console).splitlines()
    assert lines[0] == f"{BOLD}one{OFF}"
    assert lines[1].startswith(f"{YELLOW}{text}")
    assert live_part(captions)[0].strip() in {f"{BOLD} two{OFF}", f"{BOLD}two{OFF}"}


def test_markup_in_what_was_said_is_only_text():
    captions = LiveCaptions(terminal())
    captions.show(commit("[red]one[/red]"))

    assert live_part(captions)[0] == f"{BOLD}[red]one[/red]{OFF}"


def test_plain_lines_are_finals_only():
    output, errors = io.StringIO(), io.StringIO()
    with PlainCaptions(output, errors) as captions:
        for message in (partial("one to"), commit("one"), partial(" too"), commit(" two", 2), final("one two")):
            captions.show(message)

        assert output.getvalue() == "one two\n"
    assert output.getvalue() == "one two\n"
    assert errors.getvalue() == ""


def test_plain_lines_keep_what_was_committed_when_the_stream_breaks_off():
    output = io.StringIO()
    with PlainCaptions(output) as captions:
        captions.show(commit("one"))
        captions.show(partial(" two"))

    assert output.getvalue() == "one\n"


def test_plain_trouble_goes_to_standard_error():
    output, errors = io.StringIO(), io.StringIO()
    with PlainCaptions(output, errors) as captions:
        captions.show(messages.Gap(0.0, 2.0, "recognition failed"))
        captions.notice("listening to a microphone")

    assert output.getvalue() == ""
    assert errors.getvalue() == ("2.0 s at 0.0 s were not transcribed: recognition failed\nlistening to a microphone\n")


def test_json_lines_are_the_messages_of_the_wire():
    output = io.StringIO()
    with JsonCaptions(output) as captions:
        captions.show(partial("один"))
        captions.show(messages.Done(1.0, 0))

    assert [json.loads(line) for line in output.getvalue().splitlines()] == [
        {"type": "partial", "utterance": 1, "text": "один", "start": 0.0, "end": 1.0, "lag": 0.5},
        {"type": "done", "audio": 1.0, "commits": 0},
    ]


@pytest.mark.parametrize("display", [PlainCaptions, JsonCaptions])
def test_each_line_goes_out_at_once_captions_to_standard_output_and_notices_to_standard_error(display, monkeypatch):
    """Both may be pipes, which keep what is not flushed."""
    said, told = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(said))
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(told))
    with display() as captions:
        captions.show(commit("one"))
        captions.show(final("one"))
        captions.notice("a microphone was lost")

        assert b"one" in said.getvalue().splitlines()[-1]
        assert told.getvalue() == b"a microphone was lost\n"
