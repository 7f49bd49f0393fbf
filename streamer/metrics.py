"""What the daemon counts, in Prometheus' terms. One registry per server; labels come from closed sets only."""

from __future__ import annotations

from functools import partial
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from model.types import SAMPLE_RATE
from streamer.core import events
from streamer.core.commands import ErrorCode
from streamer.journal.journal import Journal
from streamer.recognition.batch import Batch
from streamer.recognition.engine import Engine
from streamer.recognition.governor import Governor
from streamer.recognition.lanes import Lane
from streamer.recognition.load import OPENING_S

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Histogram bounds from a tiny model on a GPU to a hopeless backlog."""
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128)
PASSES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)


class Metrics:
    """All counters of one server. An EngineObserver, and the listener to every session's events."""

    def __init__(self) -> None:
        """Register everything in a registry of its own, so that servers in one process do not mix."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.sessions = Gauge("streamer_sessions", "Sessions open now", registry=registry)
        self._sessions_opened = Counter("streamer_sessions_opened", "Sessions opened", registry=registry)
        self.audio = Counter("streamer_audio_seconds", "Audio received, in seconds at 16 kHz", registry=registry)
        self.taken_in = 0.0
        """What came from clients so far, in seconds of audio: the audio, and `OPENING_S` for whoever came."""
        self._utterances = Counter("streamer_utterances", "Utterances begun", registry=registry)
        self._partials = Counter("streamer_partials", "Partials produced", registry=registry)
        self._commits = Counter("streamer_commits", "Commits produced", registry=registry)
        self._words = Counter("streamer_words", "Words committed", registry=registry)
        self._finals = Counter("streamer_finals", "Utterances decided", registry=registry)
        self._gaps = Counter("streamer_gaps", "Stretches of audio that were not transcribed", registry=registry)
        self._gap_seconds = Counter("streamer_gap_seconds", "Audio that was not transcribed", registry=registry)
        self._warnings = Counter("streamer_warnings", "Warnings to clients", registry=registry)
        self._lag = Histogram(
            "streamer_commit_lag_seconds",
            "Audio received but not yet decoded when words were committed",
            buckets=SECONDS,
            registry=registry,
        )
        self.stalls = Counter(
            "streamer_backpressure", "Times a connection was not read because its backlog was full", registry=registry
        )
        self._errors = Counter("streamer_errors", "Sessions that ended with an error", ["code"], registry=registry)
        self._refusals = Counter("streamer_refusals", "Connections refused", ["reason"], registry=registry)
        self.connections_failed = Counter(
            "streamer_connections_failed", "Connections that ended with an error of the daemon's", registry=registry
        )
        self.viewers = Gauge("streamer_viewers", "Those who watch sessions now", registry=registry)
        self.viewers_cut = Counter("streamer_viewers_cut", "Viewers cut off for taking too little", registry=registry)
        self.partials_skipped = Counter(
            "streamer_viewer_partials_skipped", "Partials that viewers gone by now were too slow for", registry=registry
        )
        self._register_engine(registry)

    def _register_engine(self, registry: CollectorRegistry) -> None:
        self.ready = Gauge("streamer_ready", "1 if new streams are served", registry=registry)
        self._batch_size = Histogram("streamer_batch_size", "Windows decoded together", buckets=ROWS, registry=registry)
        self._batch_seconds = Histogram(
            "streamer_batch_seconds", "Device time of a batch", buckets=SECONDS, registry=registry
        )
        self._batch_failures = Counter("streamer_batch_failures", "Batches that raised", registry=registry)
        self._passes = Histogram(
            "streamer_decoder_passes", "Decoder passes of an update", buckets=PASSES, registry=registry
        )
        self._tokens = Counter("streamer_tokens", "Tokens decoded after the committed prefix", registry=registry)
        self._drafted = Counter("streamer_draft_tokens", "Draft tokens put to the decoder", registry=registry)
        self._accepted = Counter("streamer_draft_tokens_accepted", "Draft tokens it accepted", registry=registry)
        self._positions = Counter("streamer_encoder_positions", "Encoder positions, 20 ms each", registry=registry)
        self._computed = Counter(
            "streamer_encoder_positions_computed", "Encoder positions that were computed", registry=registry
        )
        self._fallbacks = Counter("streamer_fallbacks", "Decodes a guard asked to repeat", registry=registry)
        self._waits = Histogram(
            "streamer_update_wait_seconds",
            "From when an update was due to its answer",
            buckets=SECONDS,
            registry=registry,
        )
        self._interval = Gauge("streamer_update_interval_seconds", "Between two updates of a stream", registry=registry)
        self._load = Gauge(
            "streamer_expected_load",
            "Share of its time that device or event loop would be needed with one stream more, at most stretched",
            registry=registry,
        )
        self._waiting = Gauge("streamer_requests_waiting", "Requests in line", ["lane"], registry=registry)

        self.journal = Histogram(
            "streamer_journal_seconds", "Time a transaction of the journal took", buckets=SECONDS, registry=registry
        )

    def watch_journal(self, journal: Journal) -> None:
        """Show how the journal fares whenever somebody asks."""
        if journal.on_disk:  # one in memory is never durable, which is no trouble
            durable = Gauge(
                "streamer_journal_durable", "1 if what is told is on the disk before", registry=self.registry
            )
            durable.set_function(lambda: float(journal.outlives_daemon))
        waiting = Gauge("streamer_journal_waiting", "Writes that wait for the disk", registry=self.registry)
        waiting.set_function(lambda: journal.waiting)
        failures = Gauge("streamer_journal_failures", "Transactions that failed, so far", registry=self.registry)
        failures.set_function(lambda: journal.failures)
        dropped = Gauge("streamer_journal_dropped", "Writes that were given up, so far", registry=self.registry)
        dropped.set_function(lambda: journal.dropped)

    def watch_load(self, governor: Governor, engine: Engine) -> None:
        """Show what these say whenever somebody asks."""
        self._interval.set_function(lambda: governor.interval / SAMPLE_RATE)
        self._load.set_function(lambda: governor.expected_load)
        for lane in Lane:
            self._waiting.labels(lane).set_function(partial(engine.depth, lane))

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def heard(self, samples: int) -> None:
        """Count what a session received, in samples."""
        self.audio.inc(samples / SAMPLE_RATE)
        self.taken_in += samples / SAMPLE_RATE

    def came(self) -> None:
        """Count what it takes to let a client in, whatever comes of it."""
        self.taken_in += OPENING_S

    def opened(self) -> None:
        """Count a session, once however many connections it has."""
        self._sessions_opened.inc()

    def event(self, event: events.Event) -> None:
        """Count what a session says, whether or not a client is there to hear it."""
        match event:
            case events.SpeechStarted():
                self._utterances.inc()
            case events.Partial():
                self._partials.inc()
            case events.Commit(words=words, lag=lag):
                self._commits.inc()
                self._words.inc(len(words))
                if lag is not None:
                    self._lag.observe(lag / SAMPLE_RATE)
            case events.Final():
                self._finals.inc()
            case events.Gap(start, end):
                self._gaps.inc()
                self._gap_seconds.inc((end - start) / SAMPLE_RATE)
            case events.Warned():
                self._warnings.inc()
            case (
                events.SpeechEnded()
                | events.Flushed()
                | events.Marked()
                | events.Paced()
                | events.Failed()
                | events.Done()
            ):
                pass
            case unreachable:
                assert_never(unreachable)

    def error(self, code: ErrorCode) -> None:
        """Count a session that ended with an error."""
        self._errors.labels(code).inc()

    def refusal(self, reason: str) -> None:
        """Count a connection that was refused; the reasons are a closed set."""
        self._refusals.labels(reason).inc()
        self.taken_in += OPENING_S

    def batch_done(self, batch: Batch) -> None:
        """Count a batch."""
        self._batch_size.observe(len(batch.hypotheses))
        self._batch_seconds.observe(batch.seconds)
        if batch.lane is Lane.SLOW:
            self._fallbacks.inc(len(batch.hypotheses))
        elif batch.lane is Lane.FAST:
            for wait in batch.waits:
                if wait >= 0:  # others were answered before they were due
                    self._waits.observe(wait)
        for statistics in (hypothesis.statistics for hypothesis in batch.hypotheses):
            self._passes.observe(statistics.passes)
            self._tokens.inc(statistics.tokens)
            self._drafted.inc(statistics.draft_tokens)
            self._accepted.inc(statistics.accepted_tokens)
            self._positions.inc(statistics.encoder_positions)
            self._computed.inc(statistics.computed_positions)
            self._fallbacks.inc(statistics.fallbacks)

    def batch_failed(self, size: int) -> None:  # noqa: ARG002  # part of EngineObserver; a failure is one, however large
        """Count a batch that raised."""
        self._batch_failures.inc()
