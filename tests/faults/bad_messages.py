"""A: messages that are frames, and not the protocol's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np

from model.types import SAMPLE_RATE, Samples
from tests.faults.garbage import throw_all
from tests.faults.scene import FIRST_KEY, Case, Scene, short
from tests.faulty.speaker import pcm
from tests.faulty.spoken import utterances
from tests.streamer.harness import Heard

START = {"type": "start"}
STOP = {"type": "stop"}
FLOATS = {"type": "start", "encoding": "pcm_f32le"}
BAD_KEY = FIRST_KEY - 1
HOSTILE = '\x1b[31m\u202e\r\n{"level":"ERROR"}\u2028\x00'
"""Terminal escapes, right-to-left override, line ends, and a log line of its own."""


def speech(words: int = 6) -> bytes:
    """Return words as 16-bit samples."""
    return b"".join(pcm(samples) for _, samples in utterances(BAD_KEY, [words]))


def right(heard: Heard, words: int = 6) -> bool:
    """Say whether a client was told the words of `speech`, and closed as it should."""
    return heard.finals == [" ".join(f"{BAD_KEY}.{n}" for n in range(words))] and heard.code == 1000


async def too_early(scene: Scene) -> None:
    for message in (STOP, {"type": "flush"}, b"\0\0", speech()):
        await scene.refused("unexpected_message", 1008, message)
    scene.saw("stop, flush, audio: unexpected_message, 1008")


async def bad_json(scene: Scene) -> None:
    texts = [
        "", "{", "nul", "1", "null", "[]", '"start"', '{"type":"start"', '{"type":"start"}}', "[" * 100_000,
        '{"type":"start","prompt":' + "[" * 100_000, "9" * 5000, '{"type":"start","sample_rate":' + "9" * 5000 + "}",
        "NaN", '{"type":"start","sample_rate":NaN}', '{"type":"start","sample_rate":1e999}',
        '{"type":"start","prompt":"\\ud800"}', '{"type":"start","prompt":"\x01"}', "{'type':'start'}", "\ufeff{}",
        '{"type":1}', '{"type":null}', "{}", '{"start":true}',
    ]  # fmt: skip
    for text in texts:
        await scene.refused("bad_message", 1007, text, what=text[:40])
    heard = await scene.say('{"type":"start","channels":7,"channels":1}', speech(), STOP)
    scene.expect(right(heard), "a field twice: the last one counts")
    scene.saw(f"{len(texts)} texts: bad_message, 1007; a field twice: the last one counts")


def odd_starts(rng: Random) -> Iterator[dict[str, Any]]:
    """Yield starts of which something is wrong."""
    fields = [
        "sample_rate", "encoding", "channels", "language", "languages", "task", "prompt", "hotwords", "partials", "words",
        "resumable", "resume",
    ]  # fmt: skip
    wrong: list[Any] = [-1, 1.5, "", "x", [], {}, [[]], True, 2**63, 2**70, [1], {"a": 1}, "\x00"]
    for name in fields:
        for value in wrong:
            yield {"type": "start", name: value}
    for _ in range(20):
        yield {"type": "start", "".join(rng.choices("abcdef_", k=8)): rng.choice(wrong)}
        yield {"type": "".join(rng.choices("abcdef_", k=8))}


async def odd_fields(scene: Scene) -> None:
    counts = {"bad_message": 0, "bad_value": 0, "resume_unknown": 0, "served": 0}
    codes = {"bad_message": 1007, "bad_value": 1008, "resume_unknown": 4404, "served": 1000}
    for start in odd_starts(scene.rng):
        heard = await scene.say(start, STOP)
        error = heard.of("error")[0]["code"] if heard.of("error") else "served"
        scene.expect(codes.get(error) == heard.code, f"{start}: {error}, {heard.code}")
        counts[error] = counts.get(error, 0) + 1
    scene.saw(", ".join(f"{count} {name}" for name, count in counts.items()))


async def formats(scene: Scene) -> None:
    bad = [
        *({"sample_rate": rate} for rate in (0, -1, 7999, 48_001, 10**9)),
        *({"channels": count} for count in (0, -1, 9)),
        *({"encoding": name} for name in ("mp3", "opus", "PCM_S16LE", "")),
    ]
    for one in bad:
        heard = await scene.refused("bad_value", 1008, {"type": "start", **one})
        (name, value), message = next(iter(one.items())), heard.of("error")[0]["message"]
        scene.expect(name in message and str(value) in message, f"{message!r} does not name {name} and {value}")
    await scene.refused("bad_message", 1007, {"type": "start", "sample_rate": "16000"})
    for rate, encoding in ((44_100, "pcm_s16le"), (8000, "mulaw"), (48_000, "pcm_f32le")):
        heard = await scene.say({"type": "start", "sample_rate": rate, "encoding": encoding}, bytes(8000), STOP)
        scene.expect(heard.code == 1000, f"{encoding} at {rate}: {heard.code}")
    scene.saw(f"{len(bad)} refused with bad_value, 1008, each naming the value; 44.1, 8 and 48 kHz served")


async def odd_bytes(scene: Scene) -> None:
    data = speech()
    for start, extra in ((START, 1), (FLOATS, 3), ({**START, "channels": 2}, 2)):
        heard = await scene.refused("incomplete_sample", 1007, start, bytes(8 * 1600 + extra), STOP)
        scene.expect(str(extra) in heard.of("error")[0]["message"], "the bytes are not counted")
    heard = await scene.refused("incomplete_sample", 1007, START, data + b"x", STOP)
    scene.expect(heard.finals == [" ".join(f"{BAD_KEY}.{n}" for n in range(6))], "what was complete is not delivered")
    scene.expect(
        right(await scene.say(START, *[data[at : at + 101] for at in range(0, len(data), 101)], STOP)), "pieces of 101"
    )
    scene.saw("incomplete_sample, 1007 after everything else was delivered; pieces of 101 bytes are put together")


async def empty_messages(scene: Scene) -> None:
    data, count = speech(), 10_000
    half = len(data) // 2
    heard = await scene.say(START, data[:half], *[b""] * count, data[half:], STOP, apart=True)
    scene.expect(right(heard), f"{heard.finals}, {heard.code}")
    scene.saw(f"{count} empty messages in a stream: ignored, text right")


async def sizes(scene: Scene) -> None:
    data = speech()
    heard = await scene.say(START, data + bytes(2 * 10 * SAMPLE_RATE), STOP)
    scene.expect(right(heard), f"10 s in a message: {heard.finals}, {heard.code}")
    heard = await scene.say(START, bytes(2**20 + 2), STOP)
    scene.expect(heard.code == 1009, f"more than 1 MiB: {heard.code}")
    heard = await scene.say(START, *[data[at : at + 2] for at in range(0, len(data), 2)], STOP, apart=True)
    scene.expect(right(heard), f"single samples: {heard.finals}, {heard.code}")
    scene.saw(f"10 s in a message: right; above 1 MiB: 1009; {len(data) // 2} messages of one sample: right")


async def no_numbers(scene: Scene) -> None:
    clean = np.concatenate([samples for _, samples in utterances(BAD_KEY, [6])])
    for value in (np.nan, np.inf, -np.inf):
        samples = clean.copy()
        samples[12_345] = value
        heard = await scene.refused("bad_samples", 1007, FLOATS, samples.astype("<f4").tobytes(), what=str(value))
        scene.expect("12345" in heard.of("error")[0]["message"], "the position is not named")
    loud = clean.copy()
    loud[:1600] = 1e38
    heard = await scene.say(FLOATS, loud.astype("<f4").tobytes(), STOP)
    scene.expect(heard.code == 1000, f"1e38: {heard.code}")
    heard = await scene.say(FLOATS, clean.astype("<f4").tobytes(), STOP)
    scene.expect(right(heard), "clean samples after it")
    scene.saw("NaN, infinity: bad_samples, 1007, position named; 1e38 is clipped")


def signals(rng: Random) -> dict[str, Samples]:
    """Return sounds that no speaker makes, ten seconds each."""
    size = 10 * SAMPLE_RATE
    noise = np.random.default_rng(rng.randrange(2**30))
    return {
        "zeros": np.zeros(size, np.float32),
        "DC of 0.5": np.full(size, 0.5, np.float32),
        "square wave at full scale": np.where(np.arange(size) // 40 % 2, 1.0, -1.0).astype(np.float32),
        "white noise at full scale": noise.uniform(-1, 1, size).astype(np.float32),
    }


async def odd_sound(scene: Scene) -> None:
    for name, samples in signals(scene.rng).items():
        heard = await scene.say(START, np.round(samples * 32_767).astype("<i2").tobytes(), STOP)
        scene.expect(heard.code == 1000, f"{name}: {heard.code}")
    before = (await scene.subject.state()).memory_mib
    minutes = 30 * scene.count
    quiet = {"type": "start", "sample_rate": 8000, "encoding": "mulaw"}
    heard = await scene.say(quiet, *[b"\xff" * 480_000] * minutes, STOP, apart=True)
    growth = (await scene.subject.state()).memory_mib - before
    scene.expect(heard.code == 1000 and heard.of("done")[0]["commits"] == 0, f"silence: {heard.code}")
    scene.expect(growth < 8, f"silence: {growth:+.1f} MiB")
    scene.saw(f"all served to their ends; {minutes} min of silence: no commit, {growth:+.1f} MiB")


async def threefold_rate(scene: Scene) -> None:
    audio = np.repeat(np.concatenate([samples for _, samples in utterances(BAD_KEY, [6])]), 3)
    heard = await scene.say(START, np.round(audio * 32_767).astype("<i2").tobytes(), STOP)
    seconds = heard.of("done")[0]["audio"]
    scene.expect(abs(seconds - len(audio) / SAMPLE_RATE) < 0.01, f"{seconds} s of {len(audio) / SAMPLE_RATE}")
    scene.expect(heard.code == 1000, f"{heard.code}")
    scene.saw(f"served as what was announced: {seconds:.1f} s, nothing of it dropped, no crash")


async def texts_amid_audio(scene: Scene) -> None:
    for text in ("hello", '{"type":"audio"}', '{"type":"start","x":1}', "AAAA"):
        await scene.refused("bad_message", 1007, START, speech(), text)
    await scene.refused("unexpected_message", 1008, speech(), START, what="audio where start was expected")
    scene.saw("bad_message, 1007 within audio; unexpected_message, 1008 for audio before start")


async def order(scene: Scene) -> None:
    scene.expect(right(await scene.say(START, speech(), STOP, STOP, STOP)), "stop three times")
    await scene.refused("unexpected_message", 1008, START, speech(), STOP, b"\0\0", what="audio after stop")
    await scene.refused("unexpected_message", 1008, START, STOP, {"type": "flush"}, what="flush after stop")
    await scene.refused("unexpected_message", 1008, START, START, what="start twice")
    for _ in range(30 * scene.count):  # a walk through all orders
        messages = scene.rng.choices([START, STOP, {"type": "flush"}, speech(1)], k=scene.rng.randint(1, 8))
        heard = await scene.say(*messages, STOP)
        end = messages.index(STOP) if STOP in messages else len(messages)
        early = messages[0] is not START or START in messages[1:end]
        # What comes after stop may come when everything is said already, and the connection closed with 1000.
        allowed = {1008} if early else {1000, 1008} if later_than_stop(messages) else {1000}
        scene.expect(heard.code in allowed, f"{short(tuple(messages))}: {heard.code}")
    scene.saw(
        "stop again is ignored; anything else after it, and start again: unexpected_message, 1008; random orders as they should"
    )


def later_than_stop(messages: list[Any]) -> bool:
    """Say whether something other than stop comes after stop."""
    return STOP in messages and any(message is not STOP for message in messages[messages.index(STOP) :])


async def wrong_count(scene: Scene) -> None:
    await scene.refused("bad_message", 1007, START, speech(), {"type": "stop", "total_samples": 7})
    heard = await scene.say(START, speech(), STOP)
    scene.expect(
        abs(heard.of("done")[0]["audio"] - len(speech()) / 2 / SAMPLE_RATE) < 1e-3, "done.audio is not what was sent"
    )
    scene.saw("the field is unknown: bad_message, 1007; `done.audio` is what was received, to the sample")


async def hostile_texts(scene: Scene) -> None:
    lines = len(scene.subject.log)
    await scene.refused("bad_value", 1008, {**START, "prompt": "x" * 2**19}, what="a long prompt")
    await scene.refused("bad_value", 1008, {**START, "language": HOSTILE}, what="language")
    await scene.refused("bad_value", 1008, {**START, "encoding": HOSTILE * 100}, what="encoding")
    await scene.refused("bad_message", 1007, {"type": HOSTILE}, what="type")
    await scene.refused("bad_message", 1007, {**START, HOSTILE: 1}, what="field")
    await scene.refused("bad_value", 1008, START, {"type": "flush", "id": HOSTILE * 100}, what="id")
    heard = await scene.say({**START, "prompt": HOSTILE, "hotwords": [HOSTILE]}, speech(), STOP)
    scene.expect(right(heard), f"a prompt of control characters: {heard.finals} {heard.code}")
    new = scene.subject.log[lines:]
    scene.expect(all(line.isprintable() for line in new), "control characters in the log")
    forged = [line for line in new if json.loads(line).get("level") == "ERROR"]
    scene.expect(not forged, f"a forged line: {forged[:1]}")
    scene.saw("refused with the field's name; every log line is one event in printable characters")


async def containers(scene: Scene) -> None:
    for name, head in {
        "WAV": b"RIFF\x24\x08\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\0\x08\0\0",
        "Ogg Opus": b"OggS\0\2" + bytes(20) + b"\1\x13OpusHead\1\1",
        "MP3": b"\xff\xfb\x90\x44" * 11,
        "FLAC": b"fLaC\0\0\0\x22" + bytes(36),
        "WebM": b"\x1a\x45\xdf\xa3" * 11,
    }.items():
        heard = await scene.say(START, head + b"\0" * (len(head) % 2), speech(), STOP)
        scene.expect(heard.code == 1000, f"{name}: {heard.code}")
    scene.saw("taken as the samples that were announced; the speech after the header is heard")


async def floods_of_garbage(scene: Scene) -> None:
    count = 1000 * scene.count
    clock = asyncio.get_running_loop().time
    began = clock()
    endings = await scene.apart(throw_all, scene.port, scene.rng.randrange(2**30), count)
    scene.expect(sum(endings.values()) == count, f"{dict(endings)}")
    scene.expect(not endings["hung"], f"{endings['hung']} connections were never answered nor closed")
    scene.saw(
        f"{count} inputs in {clock() - began:.0f} s: {', '.join(f'{n} {name}' for name, n in endings.most_common())}"
    )


CASES = (
    Case("A9", "flush, stop, audio before `start`", "`unexpected_message`, 1008", too_early),
    Case("A10", "texts that are not JSON, or not of the protocol; deep, long, NaN, 1e999", "`bad_message`, 1007", bad_json),
    Case("A11", "unknown types and fields, wrong types of each field", "`bad_message` 1007, or `bad_value` 1008", odd_fields, lines=400),
    Case("A12", "sample rates, channels and encodings that cannot be", "`bad_value`, 1008, with what is allowed", formats),
    Case("A13", "bytes of an incomplete sample", "`incomplete_sample`, 1007, after the text; pieces go together", odd_bytes),
    Case("A14", "10,000 empty binary messages", "ignored", empty_messages),
    Case("A15", "10 s in one message, more than 1 MiB, one sample a message", "served, 1009, served", sizes),
    Case("A16", "NaN, infinity, 1e38 as samples", "`bad_samples`, 1007; 1e38 clipped; nobody else notices", no_numbers),
    Case("A17", "zeros, DC, square wave, noise; long silence", "served; no growth", odd_sound,
         less="no warning of clipping or DC offset; what the demo model makes of noise is tested in `tests/model/decoding/test_guards_on_speech.py`"),
    Case("A18", "48 kHz sent as 16 kHz", "served as announced; nothing dropped", threefold_rate,
         less="faster than real time is allowed, so there is no hint that the rate may be wrong"),
    Case("A19", "text within audio, audio in place of text", "`bad_message` 1007, `unexpected_message` 1008", texts_amid_audio),
    Case("A20", "stop twice, audio after stop, start twice, random orders", "ignored, or `unexpected_message`, 1008", order),
    Case("A21", "`stop` with a count of samples that is not true", "the field is unknown: `bad_message`; `done.audio` tells what came", wrong_count,
         less="the server does not compare counts; the client can"),
    Case("A22", "fields of 512 KiB, control characters, terminal escapes, line ends", "`bad_value` or `bad_message`; one printable line each in the log", hostile_texts),
    Case("A23", "WAV, Opus, MP3, FLAC, WebM sent as samples", "served as what was announced", containers,
         less="no warning that it looks like a file"),
    Case("A24", "mixed random input, 1,000 connections (`--count` for more)", "each answered or closed; alive", floods_of_garbage, again=True, timely=False, lines=2000, memory_mib=24),
)  # fmt: skip
