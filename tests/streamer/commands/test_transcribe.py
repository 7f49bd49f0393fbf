"""`streamer transcribe`, with a transcriber that reads levels."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from model.types import Task
from streamer.__main__ import run
from streamer.commands import transcribe
from streamer.commands.outcome import Exit
from tests.fakes import LevelTranscriber
from tests.streamer.commands.console import one_line, sound_file
from tests.streamer.harness import sentence


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `transcribe` read levels."""
    monkeypatch.setattr(transcribe, "load_transcriber", lambda _: LevelTranscriber())


@pytest.mark.usefixtures("levels")
def test_a_file_is_transcribed_to_standard_output(tmp_path, capsys):
    assert run(["transcribe", sound_file(tmp_path / "a.wav", sentence(1, 2))]) == Exit.OK

    assert capsys.readouterr().out.split() == ["w1", "w2"]


@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize(("style", "suffix"), [("text", "txt"), ("json", "json"), ("srt", "srt"), ("vtt", "vtt")])
def test_several_files_are_written_into_a_folder_by_their_names(tmp_path, style, suffix):
    files = [sound_file(tmp_path / f"{name}.wav", sentence(number)) for number, name in enumerate("ab", start=1)]

    assert run(["transcribe", *files, "--format", style, "--output", str(tmp_path / "out")]) == Exit.OK

    written = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert sorted(written) == [f"a.{suffix}", f"b.{suffix}"]
    assert "w1" in written[f"a.{suffix}"]
    assert "w2" in written[f"b.{suffix}"]


@pytest.mark.usefixtures("levels")
def test_a_folder_that_is_not_there_yet_is_made_where_its_name_ends_as_one(tmp_path):
    file = sound_file(tmp_path / "a.wav", sentence(1))

    assert run(["transcribe", file, "--format", "srt", "--output", f"{tmp_path}/subtitles/"]) == Exit.OK
    assert run(["transcribe", file, "--format", "srt", "--output", f"{tmp_path}/named"]) == Exit.OK

    assert "w1" in (tmp_path / "subtitles" / "a.srt").read_text()
    assert "w1" in (tmp_path / "named").read_text()


@pytest.mark.usefixtures("levels")
def test_a_file_is_no_folder_to_write_into(tmp_path, capsys):
    files = [sound_file(tmp_path / f"{number}.wav", sentence(number)) for number in (1, 2)]

    for command in (["transcribe", files[0], "--output", f"{files[1]}/"], ["transcribe", *files, "--output", files[1]]):
        assert run(command) == Exit.USAGE
        assert "--output must be a folder here" in one_line(capsys.readouterr().err)


@pytest.mark.usefixtures("levels")
def test_word_times_in_a_file_are_those_of_its_audio(tmp_path, capsys):
    file = sound_file(tmp_path / "a.wav", sentence(7))

    run(["transcribe", file, "--format", "json"])

    word = json.loads(capsys.readouterr().out)["segments"][0]["words"][0]
    assert (word["text"], word["start"], word["end"]) == (" w7", 0.1, 0.4)


def test_hotwords_end_the_prompt(tmp_path, monkeypatch):
    told = []

    class Listening(LevelTranscriber):
        def transcribe(self, recordings, *, prompt="", **options):
            told.append(prompt)
            return super().transcribe(recordings, prompt=prompt, **options)

    monkeypatch.setattr(transcribe, "load_transcriber", lambda _: Listening())
    file = sound_file(tmp_path / "a.wav", sentence(1))

    assert run(["transcribe", file, "--prompt", "Trains.", "--hotwords", "Boro", "--hotwords", "Mu"]) == Exit.OK

    assert told == ["Trains. Boro, Mu."]


@pytest.mark.usefixtures("levels")
def test_a_file_that_cannot_be_transcribed_does_not_stop_the_others(tmp_path, capsys):
    good = sound_file(tmp_path / "a.wav", sentence(1))

    assert run(["transcribe", str(tmp_path / "none.wav"), good]) == Exit.FAILED

    captured = capsys.readouterr()
    assert captured.out.split() == ["w1"]
    assert "none.wav: No such file" in one_line(captured.err)


@pytest.mark.usefixtures("levels")
def test_a_transcript_that_cannot_be_written_is_told_with_its_name(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    target = tmp_path / "taken" / "a.txt"

    assert run(["transcribe", sound_file(tmp_path / "a.wav", sentence(1)), "--output", str(target)]) == Exit.FAILED
    assert str(target) in one_line(capsys.readouterr().err)


@pytest.mark.usefixtures("levels")
def test_a_language_the_model_does_not_know_is_a_mistake_on_the_command_line(tmp_path, capsys):
    file = sound_file(tmp_path / "a.wav", sentence(1))

    assert run(["transcribe", file, "--language", "xx"]) == Exit.USAGE
    assert "--language must be one of de, en, got 'xx'" in one_line(capsys.readouterr().err)


def test_files_are_transcribed_as_many_at_once_as_wanted(tmp_path, capsys, monkeypatch):
    transcriber = LevelTranscriber()
    monkeypatch.setattr(transcribe, "load_transcriber", lambda _: transcriber)
    files = [sound_file(tmp_path / f"{number}.wav", sentence(number)) for number in range(1, 6)]

    assert run(["transcribe", *files, "--batch", "2"]) == Exit.OK

    assert transcriber.batches == [2, 2, 1]
    assert capsys.readouterr().out.split() == ["w1", "w2", "w3", "w4", "w5"]


@pytest.mark.usefixtures("levels")
def test_a_batch_of_no_files_is_a_mistake_on_the_command_line(tmp_path, capsys):
    assert run(["transcribe", sound_file(tmp_path / "a.wav", sentence(1)), "--batch", "0"]) == Exit.USAGE
    assert "--batch must be at least 1, got 0" in one_line(capsys.readouterr().err)


@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize("style", ["json", "srt", "vtt"])
def test_what_cannot_be_told_apart_on_standard_output_needs_a_folder(tmp_path, capsys, style):
    files = [sound_file(tmp_path / f"{number}.wav", sentence(number)) for number in (1, 2)]

    assert run(["transcribe", *files, "--format", style]) == Exit.USAGE
    assert f"{style} of several files needs a folder: --output FOLDER" in one_line(capsys.readouterr().err)


@pytest.mark.usefixtures("levels")
def test_a_file_may_be_called_what_files_are_called(tmp_path, capsys):
    files = []
    for number, name in enumerate(["[red]x[-].wav", os.fsdecode(b"bad\xff.wav")], start=1):
        sound_file(tmp_path / "a.wav", sentence(number))
        files.append(str((tmp_path / "a.wav").rename(tmp_path / name)))

    assert run(["transcribe", *files]) == Exit.OK
    assert capsys.readouterr().out.split() == ["w1", "w2"]


@pytest.mark.usefixtures("levels")
def test_the_bar_of_a_file_shows_its_name_as_well_as_that_can_be(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / os.fsdecode(b"[red] a \xff.wav")
    sound_file(tmp_path / "a.wav", sentence(1))
    (tmp_path / "a.wav").rename(file)

    assert run(["transcribe", str(file)]) == Exit.OK
    assert "[red] a \N{REPLACEMENT CHARACTER}.wav" in capsys.readouterr().err


def test_a_task_that_the_model_does_not_know_is_refused_by_name(tmp_path, monkeypatch, capsys):
    class EnglishOnly(LevelTranscriber):
        @property
        def card(self):
            return dataclasses.replace(super().card, tasks=(Task.TRANSCRIBE,))

    monkeypatch.setattr(transcribe, "load_transcriber", lambda _: EnglishOnly())

    status = run(["transcribe", sound_file(tmp_path / "a.wav", sentence(1)), "--task", "translate"])

    assert status == Exit.USAGE
    assert "--task must be one of transcribe with " in one_line(capsys.readouterr().err)
