"""Whisper behind `model.types.Recognizer`: requests in, hypotheses out, whatever is between.

Theory of operation. A batch is encoded, windows of one length together; languages are detected where nobody said one
(`hearing.py`); then all rows are decoded as one ragged batch, beyond ends that are in doubt (`endings.py`). Each
attempt becomes words with times and is judged (`guards.py`). What is not taken is tried again in smaller batches
(`attempts.py`): with all the context, without prompt, then at rising temperatures. Features, and what the encoder knows
of windows that grow (`reuse.py`), are all that is kept between calls, and they only save work: any request can be
answered at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from model.card import bears_reuse, knows_dynamic, sure_end
from model.checkpoint import Checkpoint, load_for_recognition
from model.config import ModelError
from model.decoding.attempts import Job, Planner
from model.decoding.decode import BatchDecoder
from model.decoding.encode import Encoded, WindowEncoder
from model.decoding.endings import Endings
from model.decoding.guards import Evidence, Guards, Verdict, compression_ratio
from model.decoding.hearing import Heard, Listener
from model.decoding.prompt import PromptBuilder, seconds_after
from model.decoding.requests import check_request, nothing_heard
from model.decoding.rows import Decoded, DecodeRow
from model.decoding.segments import SegmentBuilder
from model.rules import LogitRules
from model.types import HOP, SAMPLE_RATE, WINDOW_SAMPLES, DecodeRequest, DecodeStatistics, Hypothesis


class WhisperRecognizer:
    """Implements `model.types.Recognizer` for one checkpoint on one device. Not thread-safe: one caller at a time."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        dynamic: bool = False,
        reuse: bool = False,
        guards: Guards | None = None,
        max_streams: int = 256,
        drafts: bool = True,
        compiled: bool = False,
    ) -> None:
        """dynamic: encode the audio and a margin instead of 30 s; reuse: use positions again that hardly change.

        guards: what is distrusted; None for the defaults, with what the model's card says of its ends. max_streams,
        compiled: see WindowEncoder.

        drafts: verify what was guessed before, rather than decode all of it anew; for those who measure. Raises
        ModelError for a card that says what cannot be.
        """
        network, tokenizer, config = checkpoint.model, checkpoint.tokenizer, checkpoint.config
        generation = checkpoint.generation
        device = network.model.decoder.embed_tokens.weight.device
        self._guards = guards or Guards(sure_end=sure_end(checkpoint))
        self._planner = Planner(self._guards, trusts_truncation=knows_dynamic(checkpoint))
        self._drafts = drafts
        self._encoder = WindowEncoder(
            network.model.encoder,
            checkpoint.n_mels,
            dynamic=dynamic,
            reuse_for=network.model if reuse else None,
            max_streams=max_streams,
            compiled=compiled,
        )
        rules = LogitRules(
            vocab_size=config.vocab_size,
            eot=tokenizer.eot,
            no_timestamps=tokenizer.notimestamps,
            suppress=generation.suppress_tokens or (),
            begin_suppress=generation.begin_suppress_tokens or (),
            max_initial_timestamp=generation.max_initial_timestamp_index,
            device=device,
        )
        self._decoder = BatchDecoder(
            network, rules, nospeech=tokenizer.nospeech, alignment_heads=generation.alignment_heads
        )
        self._endings = Endings(self._decoder, self._guards, tokenizer.eot)
        self._prompts = PromptBuilder(tokenizer, config.max_target_positions, earlier=checkpoint.uses_earlier_text)
        self._segments = SegmentBuilder(tokenizer)
        self.notice = checkpoint.notice
        """What the operator should know of the model; empty if there is nothing to say."""
        self.card = checkpoint.card("dynamic" if dynamic else "full")
        languages = checkpoint.languages
        self._listener = Listener(self._encoder, self._decoder, tokenizer.sot, languages, self.card.languages[0])

    @classmethod
    def load(
        cls,
        name: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        encoder_context: str = "auto",
        *,
        encoder_reuse: str = "auto",
        offline: bool = False,
        guards: Guards | None = None,
        drafts: bool = True,
        compiled: bool = False,
    ) -> Self:
        """Load a model and warm it up.

        name, device, precision, threads: as `load_for_recognition` takes them; encoder_context: full, dynamic, or auto:
        dynamic on a CPU for a model whose card says it was trained for it; encoder_reuse: on, off, or auto: on on a
        CPU for a model whose card says that it was measured with it; guards, drafts, compiled: as `__init__` takes
        them. Raises ModelError for what cannot be used.
        """
        checkpoint = load_for_recognition(name, device, precision, threads, offline=offline)
        if encoder_context not in {"auto", "full", "dynamic"}:
            raise ModelError(f"encoder_context must be auto, full or dynamic, got {encoder_context!r}")
        if encoder_reuse not in {"auto", "on", "off"}:
            raise ModelError(f"encoder_reuse must be auto, on or off, got {encoder_reuse!r}")
        cpu = checkpoint.model.device.type == "cpu"
        dynamic = encoder_context == "dynamic" or (encoder_context == "auto" and cpu and knows_dynamic(checkpoint))
        reuse = encoder_reuse == "on" or (encoder_reuse == "auto" and cpu and bears_reuse(checkpoint))
        recognizer = cls(checkpoint, dynamic=dynamic, reuse=reuse, guards=guards, drafts=drafts, compiled=compiled)
        recognizer.warm_up()
        return recognizer

    def warm_up(self) -> None:
        """Decode a little silence, so that the first client does not pay for what is set up at first use."""
        self._decoder.warm_up(self._encoder.frames(WINDOW_SAMPLES) // 2)
        quiet = np.zeros(SAMPLE_RATE, dtype=np.float32)
        for said, earlier in ((quiet, ()), (np.tile(quiet, 2), (len(quiet),))):
            self.transcribe([DecodeRequest("warm-up", 0, said, earlier=earlier, language=self.card.languages[0])])
        self.forget("warm-up")

    def step_counts(self) -> dict[str, int]:
        """Return how single-token steps were made, as `StepCounters.values` does; empty without graphs."""
        counters = self._decoder.counters
        return counters.values() if counters else {}

    def forget(self, stream: str) -> None:
        """Drop what is kept for a stream that has ended."""
        self._encoder.forget(stream)

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer every request, in order.

        Raises ValueError for a request that cannot be answered (audio not finite, too long, start off the frame grid,
        unknown language); then none of the batch is.
        """
        for request in batch:
            check_request(request, self.card)
        heard = [request for request in batch if len(request.audio) >= HOP]
        answers = iter(self._transcribe(heard) if heard else ())
        return [next(answers) if len(r.audio) >= HOP else nothing_heard(r, self.card.languages[0]) for r in batch]

    def _transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer requests that have audio."""
        jobs = []
        for request in batch:
            spared = self._encoder.spares(request)
            jobs.append(Job(request, self._planner.plan(request, spared=spared), spared))
        while pending := [job for job in jobs if not job.done]:
            # Attempts of one temperature share a batch; the others wait for the next round.
            temperature = pending[0].recipe.temperature
            self._attempt([job for job in pending if job.recipe.temperature == temperature], temperature, len(batch))
        return [job.answer() for job in jobs]

    def _attempt(self, jobs: Sequence[Job], temperature: float, size: int) -> None:
        """Make the next attempt of some jobs and judge what comes; size: requests that were asked together."""
        new = [job.unheard for job in jobs]
        heard = self._hear(jobs)
        rows = [
            self._prompts.row(
                job.request,
                one.language,
                prompted=job.recipe.prompted,
                drafted=job.recipe.drafted and self._drafts,
                spared=job.shortened,
                seed=job.number,
            )
            for job, one in zip(jobs, heard, strict=True)
        ]
        encoded = Encoded.of([one.audio for one in heard])
        known = [one.known for one in heard]
        found = self._decoder.decode(encoded.audio, encoded.lengths, rows, temperature, known)
        if not temperature:
            found = self._endings.settle(encoded, known, rows, found, [job.request.final for job in jobs])
        for job, one, row, decoded, first in zip(jobs, heard, rows, found, new, strict=True):
            cost = DecodeStatistics(
                passes=decoded.passes,
                draft_tokens=decoded.drafted,
                accepted_tokens=decoded.accepted,
                tokens=len(decoded.tokens),
                encoder_positions=len(one.audio),
                computed_positions=one.computed if first else 0,
                batch=size,
            )
            job.attempts.append(self._judge(job, one, row, decoded, cost))

    def _hear(self, jobs: Sequence[Job]) -> list[Heard]:
        """Return what is heard of each job with the context of its next attempt; once for each context."""
        new = [job for job in jobs if job.unheard]
        if new:
            found = self._listener.hear([job.request for job in new], [job.recipe.full_context for job in new])
            for job, heard in zip(new, found, strict=True):
                job.heard[job.recipe.full_context] = heard
        return [job.heard[job.recipe.full_context] for job in jobs]

    def _judge(self, job: Job, heard: Heard, row: DecodeRow, decoded: Decoded, cost: DecodeStatistics) -> Hypothesis:
        """Turn what was decoded into words and judge them."""
        request = job.request
        segments = self._segments.build(request, row.prefix, decoded, heard.language)
        words = [word for segment in segments for word in segment.words]
        span = seconds_after(request, request.prefix)
        evidence = Evidence(
            final=request.final,
            fresh=not any(segment.words for segment in request.prefix),
            spared=job.shortened,
            loops=decoded.stuck or self._guards.is_loop(words, span),
            cut=not decoded.ended and len(decoded.tokens) >= row.limit,
            no_speech=decoded.no_speech,
            log_probability=decoded.average_log_probability,
            compression=compression_ratio("".join(word.text for word in words).strip()),
        )
        verdict = self._guards.judge(words, evidence)
        return Hypothesis(
            start=request.start,
            end=request.end,
            segments=() if verdict is Verdict.SILENCE else segments,
            language=heard.language,
            average_log_probability=evidence.log_probability,
            no_speech_probability=evidence.no_speech,
            temperature=job.recipe.temperature,
            compression_ratio=evidence.compression,
            final=request.final,
            settled=job.settles(verdict),
            trusted=verdict.trusted,
            loops=decoded.stuck or self._guards.is_impossible(words, span),
            language_probability=heard.probability,
            statistics=cost,
        )
