from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.audio import AudioError, Encoding
from streamer.protocols.wav_header import WavFormat, WavHeader


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def form(tag: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16, more: bytes = b"") -> bytes:
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, 0, 0, bits) + more)


def file(*chunks: bytes) -> bytes:
    return b"RIFF\xff\xff\xff\xffWAVE" + b"".join(chunks)


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
    data = file(head, DATA) + b"sample"
    header, answers = WavHeader(), []
    for at in range(0, len(data), size):
        answers.append(header.receive(data[at : at + size]))
        if answers[-1] is not None:
            answers.append((found, data[at + size :]))
            break

    assert answers[-2] is not None
    assert answers[-2][0] == found
    assert answers[-2][1] + answers[-1][1] == b"sample"


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
        WavHeader().receive(data)


@given(st.binary(max_size=60))
def test_nothing_but_an_audio_error_comes_of_garbage(garbage: bytes) -> None:
    header = WavHeader()
    try:
        header.receive(b"RIFF\0\0\0\0WAVE" + garbage)
        header.receive(garbage)
    except AudioError:
        pass
