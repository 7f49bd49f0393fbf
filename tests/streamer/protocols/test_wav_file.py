from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.audio import AudioError, Encoding
from streamer.protocols.wav_file import WavFile, WavFormat


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def form(tag: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16, more: bytes = b"") -> bytes:
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, 0, 0, bits) + more)


def file(*chunks: bytes) -> bytes:
    return b"RIFF\xff\xff\xff\xffWAVE" + b"".join(chunks)


def heard(wav: WavFile, data: bytes, size: int) -> bytes:
    """The audio that a file has in pieces of a size."""
    found = [wav.receive(data[at : at + size]) for at in range(0, len(data), size)]
    return b"".join(audio for _, audio in filter(None, found))


DATA = chunk(b"data", b"", 0xFFFF_FFFF)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (form(), WavFormat(Encoding.PCM_S16LE, 16_000, 1)),
        (form(3, 2, 48_000, 32), WavFormat(Encoding.PCM_F32LE, 48_000, 2)),
        (form(6, 1, 8_000, 8), WavFormat(Encoding.ALAW, 8_000, 1)),
        (form(7, 1, 8_000, 8), WavFormat(Encoding.MULAW, 8_000, 1)),
        (form(0xFFFE, more=struct.pack("<HHIH14s", 22, 16, 4, 1, b"")), WavFormat(Encoding.PCM_S16LE, 16_000, 1)),
        (chunk(b"LIST", b"odd") + form() + chunk(b"fact", b"1234"), WavFormat(Encoding.PCM_S16LE, 16_000, 1)),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_the_header_is_found_in_any_pieces(head: bytes, found: WavFormat, size: int) -> None:
    wav = WavFile()

    assert heard(wav, file(head, DATA) + b"sample", size) == b"sample"
    assert wav.receive(b"more") == (found, b"more")


@pytest.mark.parametrize("size", [1, 7, 1_000, 1_000_000])
@pytest.mark.parametrize("more", [b"", chunk(b"LIST", b"a title"), chunk(b"id3 ", bytes(200_000))])
def test_only_as_much_is_audio_as_the_file_says_however_it_comes(size: int, more: bytes) -> None:
    assert heard(WavFile(), file(form(), chunk(b"data", b"samples")) + more, size) == b"samples"


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_files_that_follow_each_other_are_heard_one_after_the_other(size: int) -> None:
    first = file(form(), chunk(b"data", b"samples"), chunk(b"LIST", b"a title"))

    assert heard(WavFile(), first + file(form(), chunk(b"data", b" and more")), size) == b"samples and more"
    with pytest.raises(AudioError, match="must have one format"):
        heard(WavFile(), first + file(form(rate=8_000), chunk(b"data", b"slow")), size)


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize("rest", [b"\x01\x00\x02\x00 and so on", b"\xff", b"abc\x80", bytes(8)])
def test_what_is_no_chunk_goes_on_as_audio_where_a_header_tells_of_the_first_piece_only(rest: bytes, size: int) -> None:
    assert heard(WavFile(), file(form(), chunk(b"data", b"a sample")) + rest, size) == b"a sample" + rest


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_an_odd_number_of_bytes_may_go_without_the_byte_that_fills_it_up(size: int) -> None:
    data = file(form(), chunk(b"data", b"samples")[:-1]) + file(form(), chunk(b"data", b" and more"))

    assert heard(WavFile(), data, size) == b"samples and more"


def test_a_header_and_much_audio_may_come_at_once() -> None:
    assert heard(WavFile(), file(form(), chunk(b"data", bytes(200_000))), 1_000_000) == bytes(200_000)


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF])
def test_all_that_follows_is_audio_where_the_writer_did_not_know_its_length(length: int) -> None:
    assert heard(WavFile(), file(form(), chunk(b"data", b"", length)) + b"samples", 7) == b"samples"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"OggS", "must be a WAV file"),
        (b"RIFF\0\0\0\0AVI ", "must be a WAV file"),
        (file(DATA), "must say its format before its audio"),
        (file(form(1, bits=24)), "got format 1 of 24 bits"),
        (file(form(85)), "got format 85"),
        (file(form(channels=9)), "got 9 at 16000"),
        (file(form(rate=96_000)), "got 1 at 96000"),
        (file(chunk(b"fmt ", b"short")), "16 bytes at least, got 5"),
        (file(chunk(b"LIST", bytes(70_000))), "may have 65536 bytes"),
        (file(chunk(b"LIST", b"", 0xFFFF_FFFF)) + bytes(70_000), "may have 65536 bytes"),
    ],
)
def test_what_is_no_wav_file_is_said(data: bytes, complaint: str) -> None:
    with pytest.raises(AudioError, match=complaint):
        WavFile().receive(data)


@given(st.binary(max_size=60))
def test_nothing_but_an_audio_error_comes_of_garbage(garbage: bytes) -> None:
    wav = WavFile()
    try:
        wav.receive(b"RIFF\0\0\0\0WAVE" + garbage)
        wav.receive(garbage)
    except AudioError:
        pass
