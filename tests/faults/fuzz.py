"""Messages that are nearly right, for every protocol's codec in this process; and connections for a real daemon.

    python -m tests.faults.fuzz --messages 10000000
    python -m tests.faults.fuzz --connections 1000000

A codec may raise ProtocolError, and HandshakeError where it is made; anything else is a fault, and is printed with the seed
that makes it happen again (`--seed N --messages 1`, for the trial). What a codec yields is looked at too: numbers that are
finite and in [-1, 1], nothing after Stop, no more than a message can hold. Memory is watched throughout.

Writes fuzz.json to `benchmarks/results/`. Exits with 1 if anything was found.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import psutil

from model.types import Word
from streamer.core import events
from streamer.core.commands import (
    Audio,
    Close,
    Codec,
    Configure,
    ErrorCode,
    Flush,
    Mark,
    Message,
    ProtocolError,
    Stop,
)
from streamer.protocols.handshake import Handshake, HandshakeError, House
from streamer.protocols.line import LineCodec
from streamer.protocols.table import PROTOCOLS
from streamer.protocols.wyoming import WyomingCodec
from tests.faults.daemon import started
from tests.faults.garbage import bend, throw_all
from tests.faults.record import RESULTS

HOUSE = House("levels", ("en", "de"))
FOUND = RESULTS.with_name("fuzz.json")
GROWTH_MIB = 32.0
MOST_SAMPLES = 48_000 * 60
"""A message of 64 KiB cannot be more, at the lowest rate and a byte a sample."""
MOST_BYTES = 65_536
TRIAL_S = 2.0
"""Of processor time, for some messages; more is a fault of its own."""
ROUND = 2_000
OVERSHOOT = 4.0
"""What a resampler may make of samples in [-1, 1] that no filter has seen; the detector clips, log-mel need not."""

PCM = base64.b64encode(bytes(range(256)) * 8).decode()
NATIVE: Final[Sequence[Any]] = (
    {"type": "start"},
    {
        "type": "start", "sample_rate": 48_000, "encoding": "pcm_f32le", "channels": 2, "language": "en", "task": "translate",
        "prompt": "names", "hotwords": ["Ada"], "partials": False, "words": False, "resumable": True,
        "resume": {"session": "a", "token": "b", "epoch": "c", "have": 3, "covered": 100, "first": 50},
    },
    {"type": "flush", "id": "1"},
    {"type": "stop"},
)  # fmt: skip
OPENAI: Final[Sequence[Any]] = (
    {
        "type": "session.update", "event_id": "e1",
        "session": {
            "type": "transcription",
            "audio": {"input": {
                "format": {"type": "audio/pcm", "rate": 24_000}, "noise_reduction": {"type": "near_field"},
                "transcription": {"model": "levels", "language": "en", "prompt": "names"},
                "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500},
            }},
            "include": ["item.input_audio_transcription.logprobs"],
        },
    },
    {"type": "transcription_session.update", "session": {
        "input_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "levels"}, "turn_detection": None}},
    {"type": "input_audio_buffer.append", "audio": PCM},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
)  # fmt: skip
DEEPGRAM: Final[Sequence[Any]] = (
    {"type": "KeepAlive"},
    {"type": "Finalize"},
    {"type": "CloseStream"},
    {"type": "Configure", "features": {"endpointing": 300}},
)
VOSK: Final[Sequence[Any]] = (
    {"config": {"sample_rate": 8000, "phrase_list": ["zero", "one"], "words": 1, "max_alternatives": 2}},
    {"config": {"sample_rate": "16000"}},
    {"eof": 1},
    {"reset": 1},
)
WHISPERLIVE: Final[Sequence[Any]] = (
    {
        "uid": "u", "language": "en", "task": "transcribe", "model": "small", "use_vad": True, "initial_prompt": "names",
        "hotwords": "Ada", "send_last_n_segments": 10,
    },
    "END_OF_AUDIO",
)  # fmt: skip
WYOMING: Final[Sequence[Any]] = (
    {"type": "describe"},
    {"type": "ping", "data": {"text": "x"}},
    {"type": "transcribe", "data": {"language": "en", "name": "levels"}},
    {"type": "audio-start", "data": {"rate": 16_000, "width": 2, "channels": 1, "timestamp": 0}},
    {"type": "audio-chunk", "data": {"rate": 16_000, "width": 2, "channels": 1}, "payload_length": 64},
    {"type": "audio-stop", "data": {"timestamp": 1}},
)
QUERIES: Final[Sequence[tuple[str, str]]] = (
    ("encoding", "linear16"), ("sample_rate", "16000"), ("channels", "2"), ("multichannel", "true"), ("language", "en-US"),
    ("interim_results", "true"), ("endpointing", "300"), ("utterance_end_ms", "1000"), ("vad_events", "true"),
    ("keyterm", "Ada"), ("keywords", "Ada:2"), ("punctuate", "false"), ("detect_language", "true"), ("intent", "transcription"),
    ("model", "nova-3"), ("tag", "x"), ("call_id", "x"),
)  # fmt: skip
BINARY: Final[Sequence[bytes]] = (
    b"", bytes(64), bytes(range(256)) * 4, b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\0\0\0\0",
    np.array([0.1, -0.5, np.nan, np.inf], "<f4").tobytes(), np.full(256, 0.25, "<f4").tobytes(),
)  # fmt: skip
VALUES: Final[Sequence[Any]] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, "", "x", "en", "\x00", "\u202e\x1b[31m",
    "x" * 5000, "𝔘", [], [[]], {}, {"type": "start"}, ["x"] * 300, [None], {"": ""}, "NaN", "16000", PCM,
)  # fmt: skip


def codecs() -> dict[str, tuple[Callable[[Random], Codec], Sequence[Any]]]:
    """Return what makes each codec, and what its clients say."""
    said = {
        "native": NATIVE, "openai-realtime": OPENAI, "deepgram": DEEPGRAM, "vosk": VOSK, "whisperlive": WHISPERLIVE,
        "pathless": (*VOSK, *WHISPERLIVE),
    }  # fmt: skip
    made: dict[str, tuple[Callable[[Random], Codec], Sequence[Any]]] = {
        protocol.name: (lambda rng, p=protocol: rng.choice(p.codecs(handshake(rng), HOUSE)), said[protocol.name])
        for protocol in PROTOCOLS
    }
    made["wyoming"] = (lambda _: WyomingCodec(HOUSE, MOST_BYTES), WYOMING)
    made["line"] = (lambda rng: LineCodec(rng.choice([None, "en"])), ())
    return made


def handshake(rng: Random) -> Handshake:
    """Return a request whose query is sometimes wrong."""
    query = []
    for name, value in rng.sample(QUERIES, rng.choice([0, 0, 0, 1, 2, 5])):
        query.append((name, str(rng.choice(VALUES))[:200] if rng.random() < 0.2 else value))
    subprotocols = rng.choice([(), ("realtime",), ("realtime", "openai-beta.realtime-v1"), ("token", "x")])
    return Handshake("0123456789abcdef", query=tuple(query), subprotocols=subprotocols)


def changed(rng: Random, value: Any) -> Any:
    """Return a JSON value with one thing in it that is another."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        match rng.randrange(6):
            case 0:
                return {key: each for key, each in value.items() if key != name}
            case 1:
                return {**value, rng.choice(["", "x", "type", "audio", "data", name + "_"]): rng.choice(VALUES)}
            case _:
                return {**value, name: changed(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.5:
        return [*value, changed(rng, rng.choice(value))]
    return rng.choice(VALUES)


def written(rng: Random, value: Any) -> str:
    """Return a message as text, perhaps bent."""
    while rng.random() < 0.5:
        value = changed(rng, value)
    text = value if isinstance(value, str) else json.dumps(value)
    if rng.random() < 0.1:
        text = bend(rng, text.encode()).decode(errors="ignore")
    return text


def messages_for(rng: Random, name: str, said: Sequence[Any]) -> Iterator[Message]:
    """Yield some messages of a client of this protocol, mostly in an order that makes sense."""
    for step in range(rng.randint(1, 6)):
        if name in {"wyoming", "line"}:
            yield (data := wire(rng, said))
            if not data:  # the end of what a client sends
                return
        elif said and (step == 0 or rng.random() < 0.5):
            yield written(rng, said[0] if step == 0 and rng.random() < 0.7 else rng.choice(said))
        else:
            data = rng.choice(BINARY)
            yield data if rng.random() < 0.6 else bend(rng, data)[:MOST_BYTES]


def wire(rng: Random, said: Sequence[Any]) -> bytes:
    """Return bytes of a protocol without frames, cut anywhere."""
    if not said or rng.random() < 0.05:
        return rng.choice(BINARY)
    data = b""
    for _ in range(rng.randint(1, 3)):
        header = rng.choice(said)
        data += written(rng, header).encode() + b"\n" + bytes(header.get("payload_length", 0))
    data = bend(rng, data) if rng.random() < 0.2 else data
    return data[: rng.randint(0, len(data))] if rng.random() < 0.2 else data


@dataclass
class Found:
    """What a run saw."""

    messages: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, Any]] = field(default_factory=list)

    def fault(self, name: str, seed: str, what: str) -> None:
        """Note a fault; of many the first ones are enough."""
        self.outcomes["faults"] += 1
        if len(self.faults) < 20:
            print(f"  {name}, trial {seed!r}: {what}", flush=True)
            self.faults.append({"protocol": name, "trial": seed, "what": what})


def trial(name: str, make: Callable[[Random], Codec], said: Sequence[Any], seed: str, found: Found) -> None:
    """Have one client of one protocol talk; note what is wrong with what comes of it."""
    rng = Random(seed)
    began = time.process_time()
    try:
        codec = make(rng)
    except HandshakeError:
        found.outcomes["HandshakeError"] += 1
        found.messages += 1
        return
    try:
        converse(rng, codec, messages_for(rng, name, said), found)
    except ProtocolError as error:
        found.outcomes[f"ProtocolError {error.code}"] += 1
    except Exception:  # noqa: BLE001  # it is what is looked for
        found.fault(name, seed, traceback.format_exc(limit=-4))
    else:
        found.outcomes["taken"] += 1
    if time.process_time() - began > TRIAL_S:
        found.fault(name, seed, f"took {time.process_time() - began:.1f} s")


def converse(rng: Random, codec: Codec, messages: Iterator[Message], found: Found) -> None:
    """Give a codec messages, and tell it of what a session makes of them."""
    begun = codec.opening() is not None
    if begun:
        list(codec.welcome("0123456789abcdef"))
    stopped, received, commits = False, 0, 0
    try:
        for message in messages:
            found.messages += 1
            for command in codec.decode(message):
                assert begun or isinstance(command, Configure), f"{type(command).__name__} came before Configure"
                assert not stopped, f"{type(command).__name__} came after Stop"
                match command:
                    case Configure() if not begun:
                        begun = True
                        list(codec.welcome("0123456789abcdef"))
                    case Audio(samples):
                        check_samples(samples)
                        received += len(samples)
                    case Flush(marker):
                        tell(codec, [events.Flushed(marker)])
                    case Mark(marker):
                        tell(codec, [events.Marked(marker, received)])
                    case Stop():
                        stopped = True
            if begun and rng.random() < 0.3:
                commits += 1
                tell(codec, utterance(rng, commits))
        if begun and not stopped:
            for samples in codec.leftover():
                check_samples(samples)
        tell(codec, [events.Done(received, commits)])
    except ProtocolError as error:
        list(codec.refuse(error))
        codec.closing(error.close, error)
        raise
    list(codec.refuse(ProtocolError(ErrorCode.INTERNAL, "x", Close.OUR_FAULT)))


def tell(codec: Codec, told: Iterable[events.Event]) -> None:
    """Have a codec write what is told to its client."""
    for event in told:
        list(codec.encode(event))


def check_samples(samples: Any) -> None:
    """Look at what is given to a session."""
    assert samples.dtype == np.float32, samples.dtype
    assert samples.ndim == 1, samples.shape
    assert len(samples) <= MOST_SAMPLES, len(samples)
    assert np.isfinite(samples).all(), "samples that are no numbers"
    assert not len(samples) or np.abs(samples).max() <= OVERSHOOT, "samples far beyond 1"


def utterance(rng: Random, number: int) -> Iterator[events.Event]:
    """Yield what a session says of an utterance."""
    start, end = number * 16_000, number * 16_000 + 8000
    text = rng.choice(["one", "x\n</script>", "\u202e", "𝔘 𝔘", ""])
    words = (Word(text, start, end, 0.9, (1,)),)
    yield events.SpeechStarted(number, start)
    yield events.Partial(number, text, start, end, 100)
    yield events.Commit(number, number, text, start, end, words, 100)
    yield events.SpeechEnded(number, end)
    yield events.Final(number, text, start, end, "en", 100)
    if rng.random() < 0.1:
        yield rng.choice(
            [events.Gap(start, end, "x"), events.Warned("x", "y"), events.Paced(100), events.Failed("internal", "x")]
        )


def fuzz_messages(count: int, seed: int, end: float, found: Found) -> dict[str, float]:
    """Try so many messages, or as many as there is time for; return figures of time and memory."""
    process = psutil.Process()
    made = codecs()
    turn, began, warm = 0, time.monotonic(), 0.0
    while found.messages < count and time.monotonic() < end:
        for _ in range(min(ROUND, count)):
            name = list(made)[turn % len(made)]
            trial(name, *made[name], f"{seed} {turn}", found)
            turn += 1
            if found.messages >= count:
                break
        gc.collect()
        resident = process.memory_info().rss / 2**20
        if turn <= 5 * ROUND or not warm:
            warm = resident
        if resident - warm > GROWTH_MIB:
            found.fault("all", f"{seed} {turn}", f"{resident - warm:+.1f} MiB of memory")
            warm = resident
        if turn % (20 * ROUND) == 0:
            print(f"  {found.messages:,} messages, {resident:.0f} MiB, {len(found.faults)} faults", flush=True)
    return {"seconds": time.monotonic() - began, "memory_warm": warm, "memory_end": process.memory_info().rss / 2**20}


async def fuzz_connections(count: int, seed: int, end: float, found: Found) -> dict[str, float]:
    """Try so many connections on a real daemon, or as many as there is time for; return figures."""
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    with TemporaryDirectory(prefix="fuzz-") as folder:
        async with started(Path(folder), "--log.level", "WARNING", "--watch.keep-s", "0.5") as subject:
            await loop.run_in_executor(None, throw_all, subject.port, seed - 1, min(count, 2000))
            before = await subject.settled()
            done, most = 0, 0.0
            while done < count and time.monotonic() < end and subject.process.returncode is None:
                some = min(2000, count - done)
                endings = await loop.run_in_executor(None, throw_all, subject.port, seed + done, some)
                found.outcomes.update(endings)
                done += some
                most = max(most, subject.seen.memory_info().rss / 2**20)
                print(f"  {done:,} connections, {most:.0f} MiB at most, {endings['hung']} hung", flush=True)
            after = await subject.settled(before)
            lines = subject.log
    found.messages = done
    if subject.process.returncode not in {None, -9}:
        found.fault("daemon", str(seed), f"it ended with {subject.process.returncode}")
    if more := after.exceeds(before):
        found.fault("daemon", str(seed), f"left over: {more}")
    growth = after.memory_mib - before.memory_mib
    if growth > GROWTH_MIB:
        found.fault("daemon", str(seed), f"{growth:+.1f} MiB of memory")
    if found.outcomes["hung"]:
        found.fault("daemon", str(seed), f"{found.outcomes['hung']} connections hung")
    errors = [line for line in lines if '"ERROR"' in line]
    if errors:
        found.fault("daemon", str(seed), f"{len(errors)} errors in the log: {errors[0]}")
    return {
        "seconds": time.monotonic() - began, "memory_warm": before.memory_mib, "memory_end": after.memory_mib,
        "log_lines": len(lines),
    }  # fmt: skip


def main() -> int:
    """Return 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description="Messages that are nearly right.")
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--connections", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of each at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=FOUND)
    options = parser.parse_args()
    if not options.messages and not options.connections:
        parser.error("say how many --messages or --connections")
    kept = json.loads(options.results.read_text()) if options.results.exists() else {}
    faults = 0
    for kind, count in (("messages", options.messages), ("connections", options.connections)):
        if not count:
            continue
        found, end = Found(), time.monotonic() + 60 * options.minutes
        if kind == "messages":
            figures = fuzz_messages(count, options.seed, end, found)
        else:
            figures = asyncio.run(fuzz_connections(count, options.seed, end, found))
        kept[kind] = {
            "count": found.messages, "asked": count, "seed": options.seed, **{name: round(value, 1) for name, value in figures.items()},
            "outcomes": dict(found.outcomes.most_common()), "faults": found.faults,
        }  # fmt: skip
        print(json.dumps(kept[kind], indent=1))
        faults += len(found.faults)
    options.results.write_text(json.dumps(kept, indent=1) + "\n")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())
