"""Whisper behind `model.types.Recognizer`: requests in, hypotheses out, whatever is between.

Theory of operation. A batch is encoded, windows of one length together; languages are detected where nobody said one;
then all rows are decoded as one ragged batch. Each attempt becomes words with times and is judged (`guards.py`). What
is not taken is tried again in smaller batches: without prompt and draft, then at rising temperatures. Nothing but
features is kept between calls, and they only save work: any request can be answered at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from model.attempts import Attempt, Job, Recipe
from model.checkpoint import Checkpoint, load_for_recognition
from model.config import ModelError
from model.decode import BatchDecoder
from model.encode import Encoded, WindowEncoder
from model.guards import Guards, compression_ratio
from model.prompt import PromptBuilder, seconds_after
from model.rows import Decoded, DecodeRow
from model.rules import LogitRules
from model.segments import SegmentBuilder
from model.types import HOP, SAMPLE_RATE, WINDOW_SAMPLES, DecodeRequest, Hypothesis


class WhisperRecognizer:
    """Implements `model.types.Recognizer` for one checkpoint on one device. Not thread-safe: one caller at a time."""

    def __init__(
        self, checkpoint: Checkpoint, *, dynamic: bool = False, guards: Guards | None = None, max_streams: int = 256
    ) -> None:
        """dynamic: encode the audio and a margin instead of 30 s; max_streams: see WindowEncoder."""
        network, tokenizer, config = checkpoint.model, checkpoint.tokenizer, checkpoint.config
        generation = checkpoint.generation
        device = network.model.decoder.embed_tokens.weight.device
        self._tokenizer = tokenizer
        self._languages_known = checkpoint.languages
        self._guards = guards or Guards()
        self._encoder = WindowEncoder(
            network.model.encoder, checkpoint.n_mels, dynamic=dynamic, max_streams=max_streams
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
        self._prompts = PromptBuilder(tokenizer, config.max_target_positions)
        self._segments = SegmentBuilder(tokenizer)
        self.notice = checkpoint.notice
        """What the operator should know of the model; empty if there is nothing to say."""
        self.card = checkpoint.card("dynamic" if dynamic else "full")

    @classmethod
    def load(
        cls,
        name: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        encoder_context: str = "auto",
        *,
        offline: bool = False,
        guards: Guards | None = None,
    ) -> Self:
        """Load a model and warm it up.

        name, device, precision, threads: as `load_for_recognition` takes them; encoder_context: full, dynamic, or auto:
        dynamic on a CPU for a model whose card says it was trained for it. Raises ModelError for what cannot be used.
        """
        checkpoint = load_for_recognition(name, device, precision, threads, offline=offline)
        if encoder_context not in {"auto", "full", "dynamic"}:
            raise ModelError(f"encoder_context must be auto, full or dynamic, got {encoder_context!r}")
        trained = checkpoint.model.device.type == "cpu" and checkpoint.streamer.get("encoder_context") == "dynamic"
        dynamic = encoder_context == "dynamic" or (encoder_context == "auto" and trained)
        recognizer = cls(checkpoint, dynamic=dynamic, guards=guards)
        recognizer.warm_up()
        return recognizer

    def warm_up(self) -> None:
        """Decode a little silence, so that the first client does not pay for what is set up at first use."""
        quiet = np.zeros(SAMPLE_RATE, dtype=np.float32)
        for length in (1, 2):
            self.transcribe([DecodeRequest("warm-up", 0, np.tile(quiet, length), language=self.card.languages[0])])
        self.forget("warm-up")

    def forget(self, stream: str) -> None:
        """Drop what is kept for a stream that has ended."""
        self._encoder.forget(stream)

    def transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer every request, in order.

        Raises ValueError for a request that cannot be answered (audio not finite, too long, start off the frame grid,
        unknown language); then none of the batch is.
        """
        for request in batch:
            check_request(request, self.card.languages)
        heard = [request for request in batch if len(request.audio) >= HOP]
        answers = iter(self._transcribe(heard) if heard else ())
        return [next(answers) if len(r.audio) >= HOP else nothing_heard(r, self.card.languages[0]) for r in batch]

    def _transcribe(self, batch: Sequence[DecodeRequest]) -> list[Hypothesis]:
        """Answer requests that have audio."""
        encoded = self._encoder.encode(batch)
        languages = self._languages(batch, encoded)
        jobs = [Job.start(r, language, self._guards) for r, language in zip(batch, languages, strict=True)]
        while pending := [(i, recipe) for i, job in enumerate(jobs) if (recipe := job.next_recipe)]:
            # Attempts of one recipe share a batch; the others wait for the next round.
            recipe = pending[0][1]
            self._attempt(jobs, encoded, [i for i, other in pending if other == recipe], recipe)
        return [job.answer(encoded.positions[i], len(batch)) for i, job in enumerate(jobs)]

    def _languages(self, batch: Sequence[DecodeRequest], encoded: Encoded) -> list[str]:
        """Return the language of each row, heard where it was not given."""
        codes = list(self._languages_known.items())
        if len(codes) < 2:
            return [request.language or self.card.languages[0] for request in batch]
        languages = [request.language or "" for request in batch]
        unknown = [row for row, language in enumerate(languages) if not language]
        if unknown:
            audio = encoded.select(unknown)
            tokens = [token for _, token in codes]
            best = self._decoder.detect(audio.audio, audio.lengths, self._tokenizer.sot, tokens)
            for row, index in zip(unknown, best, strict=True):
                languages[row] = codes[index][0]
        return languages

    def _attempt(self, jobs: Sequence[Job], encoded: Encoded, which: Sequence[int], recipe: Recipe) -> None:
        """Decode some jobs by one recipe and judge what comes."""
        rows = [
            self._prompts.row(
                jobs[i].request,
                jobs[i].language,
                prompted=recipe.prompted,
                drafted=recipe.drafted,
                seed=len(jobs[i].attempts),
            )
            for i in which
        ]
        audio = encoded if len(which) == len(jobs) else encoded.select(which)
        found = self._decoder.decode(audio.audio, audio.lengths, rows, recipe.temperature)
        for i, row, decoded in zip(which, rows, found, strict=True):
            jobs[i].receive(self._judge(jobs[i], row, decoded))

    def _judge(self, job: Job, row: DecodeRow, decoded: Decoded) -> Attempt:
        """Turn what was decoded into words and judge them."""
        request = job.request
        segments = self._segments.build(request, row.prefix, decoded, job.language)
        words = [word for segment in segments for word in segment.words]
        span = seconds_after(request, request.prefix)
        ratio = compression_ratio("".join(word.text for word in words).strip())
        verdict = self._guards.judge(
            words,
            final=request.final,
            fresh=not any(segment.words for segment in request.prefix),
            loops=decoded.stuck or self._guards.is_loop(words, span),
            no_speech=decoded.no_speech,
            average_log_probability=decoded.average_log_probability,
            ratio=ratio,
        )
        loops = decoded.stuck or self._guards.is_impossible(words, span)
        return Attempt(decoded, segments, ratio, verdict, loops)


def check_request(request: DecodeRequest, languages: Sequence[str]) -> None:
    """Raise ValueError, with what is allowed, for a request that cannot be answered."""
    audio = request.audio
    if audio.ndim != 1 or audio.dtype != np.float32:
        raise ValueError(f"audio must be (n,) float32, got {audio.shape} {audio.dtype}")
    if len(audio) > WINDOW_SAMPLES:
        raise ValueError(f"audio must be at most {WINDOW_SAMPLES} samples (30 s), got {len(audio)}")
    if request.start < 0 or request.start % HOP:
        raise ValueError(f"start must be a multiple of {HOP} and not negative, got {request.start}")
    if not np.isfinite(audio).all():
        raise ValueError("audio must be finite, got NaN or infinity")
    if request.language is not None and request.language not in languages:
        raise ValueError(f"language must be one of {', '.join(languages)}, got {request.language!r}")


def nothing_heard(request: DecodeRequest, language: str) -> Hypothesis:
    """Answer a request with less than one frame of audio."""
    return Hypothesis(request.start, request.end, (), request.language or language, final=request.final)
