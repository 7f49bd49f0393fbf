"""Wyoming without a network: recorded frames, turns, and whatever else may come over a TCP connection."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.types import SAMPLE_RATE, Samples
from streamer.core.commands import Audio, Close, Configure, ErrorCode, Flush, Mark, ProtocolError, Stop
from streamer.protocols.wyoming import WyomingCodec
from streamer.protocols.wyoming_events import MAX_LINE_BYTES, EventReader, WyomingEvent, write
from streamer.protocols.wyoming_questions import answer
from tests.fakes import silence, speak
from tests.streamer.harness import sentence
from tests.streamer.protocols.stage import HOUSE, Stage, pcm

MAX_BYTES = 1_048_576
SPEECH = np.concatenate([sentence(1, 2, 3), sentence(4, 5)])

# As the library writes them, release 1.10.2.
RECORDED: list[tuple[bytes, WyomingEvent]] = [
    (b'{"type": "describe", "version": "1.10.2"}\n', WyomingEvent("describe")),
    (
        b'{"type": "ping", "version": "1.10.2", "data_length": 17}\n{"text": "hello"}',
        WyomingEvent("ping", {"text": "hello"}),
    ),
    (
        b'{"type": "select-program", "version": "1.10.2", "data_length": 20}\n{"name": "streamer"}',
        WyomingEvent("select-program", {"name": "streamer"}),
    ),
    (b'{"type": "transcribe", "version": "1.10.2"}\n', WyomingEvent("transcribe")),
    (
        (
            b'{"type": "transcribe", "version": "1.10.2", "data_length": 145}\n{"name": "m", "language": "en", '
            b'"context": {"a": 1}, "vad_sensitivity": "relaxed", "transcript_names": ["K\xc3\xbcche"], '
            b'"transcript_terms": ["Licht"]}'
        ),
        WyomingEvent(
            "transcribe",
            {
                "name": "m",
                "language": "en",
                "context": {"a": 1},
                "vad_sensitivity": "relaxed",
                "transcript_names": ["Küche"],
                "transcript_terms": ["Licht"],
            },
        ),
    ),
    (
        (
            b'{"type": "audio-start", "version": "1.10.2", "data_length": 58}\n'
            b'{"rate": 16000, "width": 2, "channels": 1, "timestamp": 0}'
        ),
        WyomingEvent("audio-start", {"rate": 16_000, "width": 2, "channels": 1, "timestamp": 0}),
    ),
    (
        (
            b'{"type": "audio-chunk", "version": "1.10.2", "data_length": 58, "payload_length": 4}\n'
            b'{"rate": 16000, "width": 2, "channels": 1, "timestamp": 5}\x01\x00\x02\x00'
        ),
        WyomingEvent("audio-chunk", {"rate": 16_000, "width": 2, "channels": 1, "timestamp": 5}, b"\x01\x00\x02\x00"),
    ),
    (
        b'{"type": "audio-stop", "version": "1.10.2", "data_length": 19}\n{"timestamp": null}',
        WyomingEvent("audio-stop", {"timestamp": None}),
    ),
    (
        # Not the library's way, but the protocol's: data in the line, and more of it that goes before.
        b'{"type":"transcribe","data":{"language":"de","name":"m"},"data_length":17}\n{"language":"en"}',
        WyomingEvent("transcribe", {"language": "en", "name": "m"}),
    ),
    (b'{"type":"later","data":null,"data_length":null,"payload_length":0}\n', WyomingEvent("later")),
]

FORMAT = {"rate": SAMPLE_RATE, "width": 2, "channels": 1}
START, STOP = WyomingEvent("audio-start", FORMAT), WyomingEvent("audio-stop", {"timestamp": None})


def events_of(data: bytes, max_bytes: int = MAX_BYTES) -> list[WyomingEvent]:
    return list(EventReader(max_bytes).receive(data))


def chunk(audio: Samples, **form: int) -> WyomingEvent:
    how = FORMAT | form
    return WyomingEvent("audio-chunk", how, pcm(audio, how["rate"]))


def turn(*audio: Samples) -> list[WyomingEvent]:
    return [START, *map(chunk, audio), STOP]


class WyomingStage(Stage):
    """A stage for bytes: what is told is kept as events."""

    def __init__(self, *, slow: bool = False) -> None:
        self.reader = EventReader(MAX_BYTES)
        self.events: list[WyomingEvent] = []
        super().__init__(WyomingCodec(HOUSE, MAX_BYTES), slow=slow)

    def send(self, *told: WyomingEvent) -> list[WyomingEvent]:
        """Send events; return what was told meanwhile."""
        before = len(self.events)
        self.say(*map(write, told))
        return self.events[before:]

    def end(self) -> None:
        """Say that nothing more comes."""
        self.say(b"")
        self.settle()

    @property
    def transcripts(self) -> list[str]:
        """Everything that was answered."""
        return [event.data["text"] for event in self.events if event.type == "transcript"]

    def _tell(self, messages: Iterable[str | bytes]) -> None:
        for message in messages:
            assert isinstance(message, bytes)
            self.events += self.reader.receive(message)


@pytest.mark.parametrize(("data", "event"), RECORDED)
def test_what_the_library_writes_is_read(data: bytes, event: WyomingEvent) -> None:
    assert events_of(data) == [event]


def test_what_is_written_is_read_by_the_library() -> None:
    library = pytest.importorskip("wyoming.event", reason="pip install -e '.[test]' installs wyoming")
    told = [WyomingEvent("pong", {"text": "Grüße"}), WyomingEvent("transcript-stop"), WyomingEvent("a", {}, b"\n{")]
    data = io.BytesIO(b"".join(map(write, told)))
    heard = [library.read_event(data) for _ in told]

    assert [WyomingEvent(event.type, event.data, event.payload or b"") for event in heard] == told


JSON = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.lists(st.text(), max_size=3)
EVENTS = st.builds(
    WyomingEvent, st.text(min_size=1), st.dictionaries(st.text(), JSON, max_size=3), st.binary(max_size=64)
)


@settings(max_examples=30)
@given(st.lists(EVENTS, max_size=3))
def test_what_is_written_is_read_again(told: list[WyomingEvent]) -> None:
    assert events_of(b"".join(map(write, told))) == told


def outcome(pieces: Iterable[bytes]) -> tuple[list[Any], str]:
    """What a codec makes of a connection's bytes, sample by sample, and how it objects."""
    codec = WyomingCodec(HOUSE, 4_096)
    made: list[Any] = []
    complaint = ""
    try:
        for piece in pieces:
            for command in codec.decode(piece):
                if isinstance(command, Audio):
                    made += command.samples.tolist()
                else:
                    made.append(command)
    except ProtocolError as error:
        complaint = f"{error.code} {error.message}"
    return made, complaint


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut data into pieces of these sizes, over and over."""
    at = 0
    while at < len(data):
        for size in sizes:
            if data[at : at + size]:
                yield data[at : at + size]
            at += size


WHOLE = b"".join(data for data, _ in RECORDED) + b"".join(map(write, turn(speak([1, 2])[:1_000])))
BROKEN = [
    b'{"type":"x","data_length":-1}\n',
    b'{"type":"x","payload_length":-1}\n',
    b'{"type":"x","payload_length":5000}\n',
    b'{"type":"x","data_length":99999999999999999999999}\n',
    b'{"type":"x","data_length":2}\n[]',
    b'{"type":"x","data_length":"2"}\n{}',
    b'{"type":"x","data":[]}\n',
    b'{"type":7}\n',
    b"{}\n",
    b"\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff\xfe\n",
    b"[" * 100_000,
    b"[" * 50_000 + b"\n",
    b'{"type":"audio-chunk","data":{"rate":1,"width":2,"channels":1}}\n',
    b'{"type":"audio-chunk"}\n',
    b'{"type":"audio-start","data":{"rate":16000,"width":2,"channels":0}}\n',
    b'{"type":"transcribe","data":{"language":7}}\n',
]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), st.sampled_from([b"", *BROKEN]))
@example([1], b"")
def test_what_is_heard_does_not_depend_on_how_the_network_cut_it(sizes: list[int], last: bytes) -> None:
    data = WHOLE + last

    assert outcome(cut(data, sizes)) == outcome([data])


@given(st.lists(st.binary(max_size=200) | st.sampled_from([data for data, _ in RECORDED] + BROKEN), max_size=8))
def test_garbage_is_an_error_of_the_protocol_and_nothing_else(pieces: list[bytes]) -> None:
    codec = WyomingCodec(HOUSE, 4_096)
    with suppress(ProtocolError):
        for piece in filter(None, pieces):
            for command in codec.decode(piece):
                assert isinstance(command, Audio | Flush | Mark | Configure)


@pytest.mark.parametrize("data", BROKEN)
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        for _ in WyomingCodec(HOUSE, 4_096).decode(data):
            pass


@pytest.mark.parametrize(
    ("data", "code", "complaint"),
    [
        (b"x" * (MAX_LINE_BYTES + 1), ErrorCode.MESSAGE_TOO_BIG, "first line may have 65536 bytes"),
        (b'{"type":"x","payload_length":5000}\n', ErrorCode.MESSAGE_TOO_BIG, "may announce 4096 bytes, got 5000"),
        (b'{"type":"x","payload_length":-1}\n', ErrorCode.BAD_MESSAGE, "payload_length"),
        (b"hello\n", ErrorCode.BAD_MESSAGE, "first line must be a JSON object"),
        (b'{"type":"x","data_length":4}\ntrue', ErrorCode.BAD_MESSAGE, "an event's data must be a JSON object"),
        (write(chunk(silence(9), rate=7_999)), ErrorCode.BAD_VALUE, r"rate must be in \[8000, 48000\], got 7999"),
        (write(chunk(silence(9), width=4)), ErrorCode.BAD_VALUE, r"width must be in \[2, 2\], got 4"),
        (write(chunk(silence(9), channels=9)), ErrorCode.BAD_VALUE, r"channels must be in \[1, 8\], got 9"),
        (
            write(WyomingEvent("transcribe", {"language": "xx"})),
            ErrorCode.BAD_VALUE,
            "language must be one of de, en, got 'xx'",
        ),
        (write(WyomingEvent("audio-start", {"rate": "x"})), ErrorCode.BAD_MESSAGE, "the data of audio-start"),
    ],
)
def test_an_error_names_what_is_wrong_and_what_is_allowed(data: bytes, code: ErrorCode, complaint: str) -> None:
    codec = WyomingCodec(HOUSE, 4_096)
    with pytest.raises(ProtocolError, match=complaint) as caught:
        list(codec.decode(data))

    told = events_of(b"".join(map(bytes, codec.refuse(caught.value))))
    assert caught.value.code == code
    assert told == [WyomingEvent("error", {"text": caught.value.message, "code": str(code)})]
    assert codec.closing(Close.NORMAL, None) == (1000, "")


def test_a_wish_becomes_the_sessions_settings() -> None:
    wish = {"language": "en-US", "transcript_names": ["Kitchen", "Ada"], "transcript_terms": ["lamp"], "name": "any"}
    codec = WyomingCodec(HOUSE, MAX_BYTES)

    assert codec.opening() == Configure(partials=False)
    assert list(codec.decode(write(WyomingEvent("transcribe", wish)))) == [
        Configure(language="en", context="Kitchen, Ada, lamp.", partials=False)
    ]


def test_of_too_many_terms_the_names_and_the_first_ones_count() -> None:
    wish = {"transcript_terms": [f"term{n}" for n in range(5_000)], "transcript_names": ["Ada"]}
    (configure,) = WyomingCodec(HOUSE, MAX_BYTES).decode(write(WyomingEvent("transcribe", wish)))

    assert isinstance(configure, Configure)
    assert configure.context.startswith("Ada, term0, term1, ")
    assert len(configure.context) <= 2_000


def test_a_description_has_every_key_that_clients_read() -> None:
    told = answer(WyomingEvent("describe"), HOUSE)
    assert told is not None
    library = pytest.importorskip("wyoming.info", reason="pip install -e '.[test]' installs wyoming")
    program = library.Info.from_event(told).asr[0]

    assert set(told.data) == {"asr", "tts", "handle", "intent", "wake", "mic", "snd"}
    assert (program.supports_transcript_streaming, program.requires_external_vad) == (True, True)
    assert [(model.name, model.languages, model.installed) for model in program.models] == [
        ("demo", ["de", "en"], True)
    ]


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (WyomingEvent("ping", {"text": "hello"}), WyomingEvent("pong", {"text": "hello"})),
        (WyomingEvent("ping"), WyomingEvent("pong", {"text": None})),
        (WyomingEvent("select-program", {"name": "streamer"}), None),
        (WyomingEvent("synthesize", {"text": "hello"}), None),
    ],
)
def test_questions_are_answered_and_what_is_none_is_not(question: WyomingEvent, told: WyomingEvent | None) -> None:
    played = WyomingStage()

    assert answer(question, HOUSE) == told
    assert played.send(question) == ([told] if told else [])


def test_a_turn_is_told_as_it_is_committed_and_then_as_a_whole() -> None:
    played = WyomingStage()
    early = played.send(WyomingEvent("transcribe", {"language": "en"}), START, chunk(SPEECH))
    late = played.send(STOP)

    assert {event.type for event in early} == {"transcript-start", "transcript-chunk"}
    assert "".join(event.data.get("text", "") for event in early) == "w1 w2 w3 w4 w5"
    assert [event.type for event in late] == ["transcript", "transcript-stop"]
    assert late[0].data == {"text": "w1 w2 w3 w4 w5", "language": "en"}


@pytest.mark.parametrize("slow", [False, True])
def test_every_stop_is_answered_with_one_transcript_also_of_silence(slow: bool) -> None:
    played = WyomingStage(slow=slow)
    played.send(*turn(speak([1, 2])), *turn(silence(8_000)), STOP, *turn(speak([3]), speak([4])))
    played.settle()

    assert played.transcripts == ["w1 w2", "", "", "w3 w4"]
    kinds = [event.type for event in played.events if event.type != "transcript-chunk"]
    assert kinds == ["transcript-start", "transcript", "transcript-stop"] * 4


def test_chunks_add_up_to_the_transcript() -> None:
    played = WyomingStage()
    played.send(*turn(SPEECH, speak([6])))
    chunks = [event.data["text"] for event in played.events if event.type == "transcript-chunk"]

    assert len(chunks) > 1
    assert "".join(chunks) == played.transcripts[0]


def test_questions_between_audio_are_answered_at_once_and_in_order() -> None:
    played = WyomingStage(slow=True)
    told = played.send(START, chunk(speak([1])), WyomingEvent("ping", {"text": "a"}), WyomingEvent("describe"))
    played.take()

    assert told == []
    assert [event.type for event in played.events] == ["pong", "info"]


def test_a_client_that_sends_no_more_is_told_what_it_said() -> None:
    played = WyomingStage()
    played.send(START, chunk(speak([1, 2])))
    played.end()

    assert played.transcripts == ["w1 w2"]
    assert isinstance(played.commands[-1], Stop)


@pytest.mark.parametrize(("before", "told"), [(turn(speak([1, 2])), ["w1 w2"]), ([WyomingEvent("transcribe")], [])])
def test_a_client_that_waits_for_no_answer_gets_none_at_its_end(before: list[WyomingEvent], told: list[str]) -> None:
    played = WyomingStage()
    played.send(*before)
    played.end()

    assert played.transcripts == told


def test_a_client_that_goes_without_a_word_leaves_nothing_behind_in_the_resampler() -> None:
    gone, stopped, silent = (WyomingCodec(HOUSE, MAX_BYTES) for _ in range(3))
    sent = write(chunk(silence(SAMPLE_RATE), rate=48_000))
    given = sum(len(c.samples) for c in gone.decode(sent) if isinstance(c, Audio))
    for data in (sent, b""):
        list(stopped.decode(data))

    assert given + sum(map(len, gone.leftover())) == SAMPLE_RATE
    assert [list(codec.leftover()) for codec in (stopped, silent)] == [[], []]


def test_audio_needs_no_announcement_and_may_change_its_format() -> None:
    played = WyomingStage()
    stereo = np.repeat(speak([3]), 2)
    played.send(
        chunk(speak([1, 2]), rate=8_000),
        WyomingEvent("audio-chunk", FORMAT | {"rate": 24_000}, pcm(speak([5]), 24_000)),
        WyomingEvent("audio-chunk", FORMAT | {"channels": 2}, pcm(stereo)),
        STOP,
    )

    assert played.transcripts == ["w1 w2 w5 w3"]


def test_half_a_sample_at_the_end_of_a_turn_is_not_the_beginning_of_the_next() -> None:
    played = WyomingStage()
    half = WyomingEvent("audio-chunk", FORMAT, pcm(speak([1])) + b"\x00")
    played.send(START, half, STOP, *turn(speak([2])))

    assert played.transcripts == ["w1", "w2"]


def test_an_audio_of_many_pieces_is_the_same_as_of_one() -> None:
    whole, pieces = WyomingStage(), WyomingStage()
    data = pcm(SPEECH)
    whole.send(*turn(SPEECH))
    pieces.send(START, *(WyomingEvent("audio-chunk", FORMAT, data[at : at + 999]) for at in range(0, len(data), 999)))
    pieces.send(STOP)

    assert pieces.events == whole.events
