from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model.types import SAMPLE_RATE, DecodeRequest, Hypothesis, Task
from streamer.config import Config, HttpConfig
from streamer.http import answers
from streamer.recognition.health import TRIAL
from streamer.recognition.lanes import Lane
from tests.fakes import LevelRecognizer, silence, speak
from tests.streamer.harness import LOCAL, GatedRecognizer, converse, get, metric, request, running, s16, sentence, until
from tests.streamer.http.uploads import (
    BOUNDARY,
    PATH,
    SAID,
    SPEECH,
    answer,
    answered,
    browsing,
    chunked,
    error_of,
    events_of,
    form,
    head,
    sound_file,
    upload,
)

TOKEN = "a-token-that-nobody-guesses"
TRANSLATIONS = "/v1/audio/translations"


def limited(**limits: float) -> Config:
    return Config(http=HttpConfig(**limits))  # type: ignore[arg-type]


class SpoilingRecognizer(LevelRecognizer):
    """Cannot decode what comes after the first utterance."""

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        if any(request.start > SAMPLE_RATE for request in batch):
            raise RuntimeError("no more")
        return super().transcribe(batch)


async def test_json_is_what_comes_if_nothing_is_asked_for() -> None:
    async with running() as server:
        response = await upload(server)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"text": SAID, "usage": {"type": "duration", "seconds": 4}}


async def test_text_is_text() -> None:
    async with running() as server:
        response = await upload(server, response_format="text")

    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == f"{SAID}\n"


async def test_subtitles_are_cues_with_times() -> None:
    async with running() as server:
        srt = await upload(server, response_format="srt")
        vtt = await upload(server, response_format="vtt")

    assert srt.headers["content-type"] == vtt.headers["content-type"] == "text/plain; charset=utf-8"
    assert srt.text.startswith("1\n00:00:00,100 --> 00:00:01,100\nw1 w2 w3\n\n2\n00:00:02,250 --> ")
    assert vtt.text.startswith("WEBVTT\n\n00:00:00.100 --> 00:00:01.100\nw1 w2 w3\n\n00:00:02.250 --> ")


async def test_others_are_served_while_subtitles_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end, body = threading.Event(), threading.Event(), answers.body

    def slow_body(*arguments: Any) -> tuple[str, str]:
        begun.set()
        assert may_end.wait(10)
        return body(*arguments)

    monkeypatch.setattr(answers, "body", slow_body)
    async with running() as server, asyncio.TaskGroup() as group:
        uploading = group.create_task(upload(server, response_format="srt"))
        await until(begun.is_set)
        assert (await get(server, "/healthz"))[0] == 200
        may_end.set()
        response = await uploading

    assert response.status_code == 200


async def test_verbose_json_has_segments_and_words_where_they_were_said() -> None:
    async with running() as server:
        response = await upload(
            server, response_format="verbose_json", **{"timestamp_granularities[]": ["word", "segment"]}
        )

    found = response.json()
    assert (found["task"], found["language"], found["duration"], found["text"]) == ("transcribe", "english", 3.95, SAID)
    assert [(s["id"], s["start"], s["end"], s["text"]) for s in found["segments"]] == [
        (0, 0.1, 1.1, " w1 w2 w3"),
        (1, 2.25, 2.9, " w4 w5"),
    ]
    assert found["words"][0] == {"word": "w1", "start": 0.1, "end": 0.4}
    assert [word["word"] for word in found["words"]] == SAID.split()


async def test_a_stream_of_events_adds_up_to_the_text() -> None:
    async with running() as server:
        response = await upload(server, stream="true")

    *deltas, done = events_of(response.text)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [event["type"] for event in deltas] == ["transcript.text.delta"] * 2
    assert "".join(event["delta"] for event in deltas) == done["text"] == SAID
    assert done["type"] == "transcript.text.done"


async def test_events_come_as_soon_as_something_is_decided(gated: GatedRecognizer) -> None:
    data = form(("stream", "true"), ("file", sound_file()))
    async with running(recognizer=gated) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head(f"Content-Length: {len(data)}") + data)
        await until(lambda: server.engine.waiting_since is not None)
        gated.gate.set()
        await reader.readuntil(b"transcript.text.delta")
        await reader.readuntil(b"transcript.text.done")
        writer.close()


async def test_a_translation_is_asked_of_the_decoder() -> None:
    recognizer = LevelRecognizer()
    async with running(recognizer=recognizer) as server:
        response = await upload(server, path=TRANSLATIONS, response_format="verbose_json", prompt="names")

    assert response.json()["task"] == "translate"
    asked = [request for request in recognizer.requests if request.stream != "warm-up"]
    assert {(request.task, request.context) for request in asked} == {(Task.TRANSLATE, "names")}


async def test_language_and_prompt_reach_the_decoder() -> None:
    recognizer = LevelRecognizer()
    async with running(recognizer=recognizer) as server:
        response = await upload(server, language="german", prompt="names", response_format="verbose_json")

    assert response.json()["language"] == "german"
    asked = [request for request in recognizer.requests if request.stream != "warm-up"]
    assert {(request.language, request.context) for request in asked} == {("de", "names")}


async def test_what_is_kept_for_a_recording_is_dropped_at_its_end() -> None:
    recognizer = LevelRecognizer()
    async with running(recognizer=recognizer) as server:
        await upload(server)
        await until(lambda: len(recognizer.forgotten) > 1)

    assert recognizer.requests[-1].stream in recognizer.forgotten


async def test_an_utterance_is_decoded_once() -> None:
    recognizer = LevelRecognizer()
    async with running(recognizer=recognizer) as server:
        await upload(server)

    asked = [request for request in recognizer.requests if request.stream != "warm-up"]
    assert [request.final for request in asked] == [True, True]


async def test_speech_without_a_pause_is_heard_to_its_end() -> None:
    words = [n % 7 for n in range(300)]
    audio = np.concatenate([speak(words), silence(SAMPLE_RATE)])
    async with running() as server:
        response = await upload(server, sound_file(audio))

    assert response.json()["text"].split() == [f"w{word}" for word in words]


@pytest.mark.parametrize("file_first", [True, False])
@pytest.mark.parametrize("size", [None, 37, 70_000])
async def test_a_form_comes_in_any_order_and_with_any_framing(file_first: bool, size: int | None) -> None:
    parts: list[tuple[str, str | bytes]] = [("file", sound_file()), ("model", "whisper-1"), ("colour", "blue")]
    body = form(*(parts if file_first else reversed(parts)))
    framed = head(f"Content-Length: {len(body)}") + body if size is None else None
    sent = framed or head("Transfer-Encoding: chunked") + chunked(body, size or 1)
    async with running() as server:
        status, _, text = await answered(server, [sent])

    assert (status, json.loads(text)["text"]) == (200, SAID)


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    body = form(("file", sound_file()))
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head(f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(body)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_a_client_that_asks_first_is_refused_before_it_sends() -> None:
    async with running(replace(LOCAL, token=TOKEN)) as server:
        status, _, body = await answered(server, [head("Content-Length: 100000000", "Expect: 100-continue")])

    assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")


async def test_a_connection_is_used_again() -> None:
    async with running() as server, browsing(server) as client:
        first = await client.post(PATH, files={"file": sound_file()})
        second = await client.post(PATH, files={"file": b"nonsense"})
        third = await client.post(PATH, files={"file": sound_file()})

    assert (first.status_code, second.status_code, third.json()["text"]) == (200, 400, SAID)


async def test_time_that_was_given_for_a_file_is_not_given_for_what_follows() -> None:
    body = form(("file", sound_file()))
    async with running(replace(LOCAL, open_timeout_s=1.0)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head(f"Content-Length: {len(body)}") + body)
        assert (await answer(reader))[0] == 200
        writer.write(b"GET /healthz HTTP/1.1\r\nHost:")
        assert await reader.read() == b""
        writer.close()


async def test_a_recording_may_take_longer_than_a_request_may(gated: GatedRecognizer) -> None:
    body = form(("file", sound_file()))
    async with running(replace(LOCAL, open_timeout_s=0.2), gated) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head(f"Content-Length: {len(body)}") + body)
        await until(lambda: server.engine.waiting_since is not None)
        assert await request(server, b"GET") == b""  # another connection has come to the end of its time
        gated.gate.set()
        assert (await answer(reader))[0] == 200
        writer.close()


async def test_a_token_is_asked_for_everywhere() -> None:
    async with running(replace(LOCAL, token=TOKEN)) as server:
        async with browsing(server) as client:
            refused = [await client.post(path) for path in (PATH, TRANSLATIONS)]
            refused += [await client.get(path) for path in ("/v1/models", "/v1/models/levels")]
            wrong = await client.get("/v1/models", headers={"Authorization": "Bearer wrong"})
        async with browsing(server, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            served = await client.post(PATH, files={"file": sound_file()})
        counted = server.metrics.registry.get_sample_value("streamer_refusals_total", {"reason": "token"})

    assert counted == len(refused) + 1
    for response in [*refused, wrong]:
        assert response.status_code == 401
        assert error_of(response)["code"] == "invalid_api_key"
        assert response.headers["www-authenticate"] == "Bearer"
    assert served.json()["text"] == SAID


async def test_a_page_of_another_site_is_refused() -> None:
    async with running() as server, browsing(server, headers={"Origin": "https://evil.example"}) as client:
        response = await client.post(PATH, files={"file": sound_file()})

    assert (response.status_code, error_of(response)["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"response_format": "xml"}, "response_format"), ({"language": "xx"}, "language"), ({"stream": "so"}, "stream")],
)
async def test_a_wrong_field_is_named(fields: dict[str, str], param: str) -> None:
    async with running() as server:
        response = await upload(server, **fields)

    assert response.status_code == 400
    assert error_of(response)["param"] == param
    assert error_of(response)["type"] == "invalid_request_error"


async def test_what_is_no_form_and_what_is_no_audio_is_refused() -> None:
    async with running() as server, browsing(server) as client:
        no_form = await client.post(PATH, json={"file": "a"})
        no_file = await client.post(PATH, files={"other": b"a"})
        no_audio = await client.post(PATH, files={"file": ("a.wav", b"nonsense")})
        nothing = await client.post(PATH)

    assert [r.status_code for r in (no_form, no_file, no_audio, nothing)] == [400] * 4
    assert "flac" in error_of(no_audio)["message"]


async def test_what_has_no_route_is_answered_as_clients_expect_it() -> None:
    async with running() as server, browsing(server) as client:
        unknown = await client.post("/v1/audio/speech")
        method = await client.get(PATH)
        elsewhere = await client.get("/nowhere")

    assert (unknown.status_code, error_of(unknown)["code"]) == (404, "unknown_url")
    assert (method.status_code, error_of(method)["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "POST"
    assert (elsewhere.status_code, elsewhere.text) == (404, "Not Found")


async def test_models_are_listed_by_name_and_alias() -> None:
    async with running() as server, browsing(server) as client:
        listed = (await client.get("/v1/models")).json()
        one = (await client.get("/v1/models/whisper-1")).json()
        unknown = await client.get("/v1/models/a%2Fb")

    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["levels", "whisper-1"]
    assert one == listed["data"][1] == {**listed["data"][0], "id": "whisper-1"}
    assert (unknown.status_code, error_of(unknown)["code"]) == (404, "model_not_found")


async def test_a_model_that_is_not_loaded_is_another_name_for_the_one_that_is_unless_that_is_forbidden() -> None:
    async with running() as server:
        assert (await upload(server, model="gpt-4o-transcribe")).status_code == 200
    async with running(config=Config(http=HttpConfig(strict_model=True))) as server:
        refused = await upload(server, model="gpt-4o-transcribe")
        served = [(await upload(server, model=name)).status_code for name in ("levels", "whisper-1", "")]

    assert (refused.status_code, error_of(refused)["code"]) == (404, "model_not_found")
    assert served == [200] * 3


async def test_a_file_that_is_too_large_is_refused_by_what_comes_and_by_what_is_announced() -> None:
    body = form(("file", bytes(5000)))
    async with running(config=limited(max_upload_bytes=4999)) as server:
        counted, _, _ = await answered(server, [head("Transfer-Encoding: chunked") + chunked(body, 1000)])
        announced, _, text = await answered(server, [head("Content-Length: 5000000")])

    assert (counted, announced) == (413, 413)
    assert json.loads(text)["error"]["code"] == "file_too_large"


async def test_a_file_larger_than_memory_is_kept_elsewhere() -> None:
    audio = np.concatenate([SPEECH, silence(30 * SAMPLE_RATE)])
    async with running() as server:
        response = await upload(server, sound_file(audio))

    assert response.json()["text"] == SAID


async def test_a_recording_that_is_too_long_is_refused() -> None:
    bomb = sound_file(silence(60 * SAMPLE_RATE), "FLAC", "PCM_16")
    async with running(config=limited(max_audio_s=59.0)) as server:
        response = await upload(server, bomb)

    assert (response.status_code, error_of(response)["code"]) == (413, "audio_too_long")


async def test_a_file_that_stops_coming_in_is_refused() -> None:
    async with running(replace(LOCAL, open_timeout_s=0.1)) as server:
        begun = head("Content-Length: 100000") + form(("file", b"RIFF"), end=b"")
        status, _, body = await answered(server, [begun])

    assert (status, json.loads(body)["error"]["code"]) == (408, "upload_timeout")


async def test_a_file_that_trickles_is_refused() -> None:
    async with running(config=limited(upload_timeout_s=0.1)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head("Content-Length: 100000000") + form(("file", b"RIFF"), end=b""))

        async def trickle() -> None:
            while True:
                writer.write(b"a")
                await asyncio.sleep(0)

        trickling = asyncio.create_task(trickle())
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 408 ")
        trickling.cancel()
        writer.close()


async def test_as_many_files_as_may_be_at_once_and_no_more(gated: GatedRecognizer) -> None:
    async with running(recognizer=gated, config=limited(max_files=1)) as server:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(upload(server))
            await until(lambda: server.engine.waiting_since is not None)
            second = await upload(server)
            gated.gate.set()
        third = await upload(server)
        refused = await metric(server, 'streamer_refusals_total{reason="rate_limit_exceeded"}')

    assert [r.status_code for r in (first.result(), second, third)] == [200, 429, 200]
    assert (error_of(second)["code"], second.headers["retry-after"]) == ("rate_limit_exceeded", "5")
    assert refused == 1


@pytest.mark.parametrize("path", [PATH, TRANSLATIONS])
async def test_where_no_files_are_taken_the_answer_says_so_and_not_to_try_later(path: str) -> None:
    async with running(config=limited(max_files=0)) as server:
        refused = await upload(server, path=path)
        counted = await metric(server, 'streamer_refusals_total{reason="uploads_disabled"}')

    assert (refused.status_code, error_of(refused)["code"], "retry-after" in refused.headers) == (
        403,
        "uploads_disabled",
        False,
    )
    assert error_of(refused)["message"] == "this server takes no recordings: its http.max_files is 0"
    assert counted == 1


async def test_a_client_that_goes_takes_its_work_with_it(gated: GatedRecognizer) -> None:
    body = form(("file", sound_file()))
    async with running(recognizer=gated) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head(f"Content-Length: {len(body)}") + body)
        await until(lambda: server.engine.waiting_since is not None)
        writer.close()
        await until(lambda: server.engine.waiting_since is None)
        gated.gate.set()
        assert (await upload(server)).status_code == 200
        gone = await metric(server, 'streamer_files_ended_total{outcome="gone"}')
        open_now = await metric(server, "streamer_files")

    assert (gone, open_now) == (1, 0)
    assert len([request for request in gated.requests if request.stream != "warm-up"]) == 3


async def test_a_client_that_goes_in_the_middle_of_its_file_leaves_nothing() -> None:
    async with running() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head("Content-Length: 100000") + b"--%s\r\n" % BOUNDARY)
        await until(lambda: bool(server.files._jobs))
        writer.close()
        await until(lambda: not server.files._jobs)
        assert await metric(server, 'streamer_files_ended_total{outcome="gone"}') == 1


async def test_audio_that_cannot_be_recognised_is_an_error_and_no_transcript_with_a_hole() -> None:
    async with running(recognizer=SpoilingRecognizer()) as server:
        whole = await upload(server)
    async with running(recognizer=SpoilingRecognizer()) as server:
        events = events_of((await upload(server, stream="true")).text)

    assert whole.status_code == 500
    assert error_of(whole)["code"] == "recognition_failed"
    assert error_of(whole)["type"] == "server_error"
    assert events[0] == {"type": "transcript.text.delta", "delta": "w1 w2 w3"}
    assert events[1]["error"]["code"] == "recognition_failed"


async def test_a_server_that_recognises_nothing_says_so() -> None:
    async with running() as server:
        server.engine._ledger._health.fail(TRIAL)
        response = await upload(server)

    assert (response.status_code, error_of(response)["code"]) == (503, "not_ready")
    assert response.headers["retry-after"] == "5"


async def test_a_server_that_ends_takes_no_file_and_finishes_those_it_has(gated: GatedRecognizer) -> None:
    async with running(recognizer=gated) as server, asyncio.TaskGroup() as group:
        first = group.create_task(upload(server))
        await until(lambda: server.engine.waiting_since is not None)
        server.stop()
        await until(lambda: server.admission.draining)
        second = await upload(server)
        gated.gate.set()

    assert (second.status_code, error_of(second)["code"]) == (503, "shutting_down")
    assert first.result().json()["text"] == SAID


async def test_a_server_that_must_end_says_so_to_those_who_wait(gated: GatedRecognizer) -> None:
    async with running(replace(LOCAL, drain_timeout_s=0.0), gated) as server, asyncio.TaskGroup() as group:
        first = group.create_task(upload(server))
        await until(lambda: server.engine.waiting_since is not None)
        server.stop()
        response = await first
        gated.gate.set()

    assert (response.status_code, error_of(response)["code"]) == (503, "shutting_down")
    assert response.headers["retry-after"] == "5"
    assert server.metrics.registry.get_sample_value("streamer_files_ended_total", {"outcome": "cut"}) == 1


async def test_what_became_of_files_is_counted() -> None:
    async with running() as server:
        await upload(server)
        await upload(server, b"nonsense")
        done = await metric(server, 'streamer_files_ended_total{outcome="done"}')
        invalid = await metric(server, 'streamer_files_ended_total{outcome="invalid"}')
        seconds = await metric(server, "streamer_files_audio_seconds_total")
        sessions = await metric(server, "streamer_sessions_opened_total")

    assert (done, invalid, seconds, sessions) == (1, 1, len(SPEECH) / SAMPLE_RATE, 0)


async def test_a_live_stream_beside_a_recording_is_as_if_it_were_alone() -> None:
    audio = s16(np.concatenate([sentence(n, n + 1) for n in range(6)]))
    messages = [{"type": "start"}, *(audio[at : at + 3200] for at in range(0, len(audio), 3200)), {"type": "stop"}]
    long = sound_file(np.concatenate([sentence(n % 9) for n in range(60)]))
    async with running() as server:
        alone = await converse(server, messages)
        async with asyncio.TaskGroup() as group:
            files = [group.create_task(upload(server, long)) for _ in range(3)]
            beside = await converse(server, messages)

    assert beside.words == alone.words
    assert beside.finals == alone.finals
    assert {file.result().json()["text"] for file in files} == {" ".join(f"w{n % 9}" for n in range(60))}


async def test_recordings_wait_in_the_background(gated: GatedRecognizer) -> None:
    async with running(recognizer=gated) as server, asyncio.TaskGroup() as group:
        group.create_task(upload(server))
        await until(lambda: server.engine.waiting_since is not None and server.engine.idle)
        for _ in range(2):
            group.create_task(upload(server))
        await until(lambda: server.engine.depth(Lane.BACKGROUND) == 2)
        assert (await get(server, "/healthz"))[0] == 200
        assert await metric(server, 'streamer_requests_waiting{lane="background"}') == 2
        assert await metric(server, 'streamer_requests_waiting{lane="fast"}') == 0
        assert await metric(server, "streamer_files") == 3
        gated.gate.set()


async def test_garbage_after_the_head_is_no_danger() -> None:
    async with running() as server:
        said = await request(server, head("Content-Length: 20", "Connection: close") + bytes(20))

    assert said.startswith(b"HTTP/1.1 400 ")
