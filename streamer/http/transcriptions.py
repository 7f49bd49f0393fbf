"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a recording comes in, its transcript goes out."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from model.types import SAMPLE_RATE, Task
from streamer.config import HttpConfig, ServerConfig
from streamer.core.commands import Configure
from streamer.core.session import Session
from streamer.decoding.decoder import Limits
from streamer.decoding.decoders import Decoders
from streamer.decoding.losses import DecoderLostError
from streamer.http import answers, wishes
from streamer.http.errors import ApiError, internal
from streamer.http.files import Files, GoneError, Job, Outcome
from streamer.http.models import Models
from streamer.http.recording import Recording
from streamer.http.recording_stream import RecordingStream
from streamer.http.reply import Reply
from streamer.http.transcript import GrowingTranscript
from streamer.http.upload import Upload, receive
from streamer.http.wishes import Wishes
from streamer.logs import SESSION
from streamer.recognition.engine import Engine

logger = logging.getLogger(__name__)


class Transcriptions:
    """An ASGI application for one task."""

    def __init__(
        self,
        task: Task,
        *,
        files: Files,
        decoders: Decoders,
        models: Models,
        engine: Engine,
        open_session: Callable[[str, Configure], Session],
        gate: Callable[[Request], ApiError | None],
        config: HttpConfig,
        server: ServerConfig,
    ) -> None:
        """`gate` says why a client is not served, before anything of it is read."""
        self._task = task
        self._files = files
        self._decoders = decoders
        self._models = models
        self._engine = engine
        self._open_session = open_session
        self._gate = gate
        self._config = config
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises nothing: whatever goes wrong is this client's alone."""
        request = Request(scope, receive)
        reply = Reply(send, self._server.send_timeout_s, request.state.abort)
        try:
            refusal = self._gate(request)
            if refusal is not None:
                await reply.refuse(refusal)
                return
            request.state.unhurried()
            self._decoders.prepare()
            with self._files.admitted() as job:
                self._files.ended(await self._answer(request, reply, job))
        except GoneError:
            logger.info("refused, and gone before it could be told")

    async def _answer(self, request: Request, reply: Reply, job: Job) -> Outcome:
        """Serve a request and return what became of it."""
        name = secrets.token_hex(8)
        SESSION.set(name)
        try:
            with Upload() as upload:
                await self._transcribe(name, request, reply, job, upload)
        except (ClientDisconnect, GoneError):
            logger.info("recording abandoned: its client is gone")
            return Outcome.GONE
        except ApiError as error:
            failed = error
        except Exception:
            logger.exception("recording failed")
            failed = internal()
        else:
            return Outcome.DONE
        logger.info("recording refused: %s", failed.message, extra={"status": failed.status, "code": failed.code})
        with suppress(GoneError):
            await reply.refuse(failed)
        if failed.status < 500:
            return Outcome.INVALID
        return Outcome.CUT if failed.status == 503 else Outcome.FAILED

    async def _transcribe(self, name: str, request: Request, reply: Reply, job: Job, upload: Upload) -> None:
        """Take the file, understand what is asked, and answer. Raises ApiError, GoneError, ClientDisconnect."""
        config = self._config
        async with job.lasting():
            form = await receive(
                request, upload, config.max_upload_bytes, self._server.open_timeout_s, config.upload_timeout_s
            )
            asked = wishes.read(form.fields, self._task, self._models.card)
            self._models.check(asked.model)
            async with job.watched(request.receive):
                await self._recognise(name, upload, asked, reply)

    async def _recognise(self, name: str, upload: Upload, asked: Wishes, reply: Reply) -> None:
        transcript = GrowingTranscript()
        async with self._decoding(upload) as recording:
            duration = await recording.measure()
            logger.info("recording opened", extra={"audio_s": duration / SAMPLE_RATE, "task": str(self._task)})
            session = self._open_session(name, in_parts(asked.configure, self._config))
            async with aclosing(recording.blocks()) as blocks:
                stream = RecordingStream(session, self._engine, blocks)
                async with aclosing(stream.run()) as pieces:
                    async for said in pieces:
                        grown = transcript.add(said.words, said.hypothesis)
                        if asked.stream and grown:
                            await reply.event(answers.delta(grown))
        self._files.audio.inc(duration / SAMPLE_RATE)
        logger.info("recording done", extra={"audio_s": duration / SAMPLE_RATE})
        if asked.stream:
            await reply.event(answers.done(transcript, duration), last=True)
        else:
            # Of hours, subtitles take seconds to make: others are served meanwhile, and a process that ends waits.
            await reply.whole(*await asyncio.to_thread(answers.body, transcript, duration, asked))

    @asynccontextmanager
    async def _decoding(self, upload: Upload) -> AsyncGenerator[Recording]:
        """Have an upload decoded while the block lasts. Raises ApiError if there is nobody to do it."""
        limits = Limits(self._config.max_audio_s, self._config.decode_timeout_s)
        try:
            async with self._decoders.decoding(upload.file, limits) as decoder:
                yield Recording(decoder)
        except DecoderLostError:  # it has been logged
            raise internal() from None


def in_parts(configure: Configure, config: HttpConfig) -> Configure:
    """Return a session's wishes with the silence that divides recordings, unless the client says another one."""
    return configure if configure.hangover_ms else replace(configure, hangover_ms=config.hangover_ms)
