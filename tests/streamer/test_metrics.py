from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from model.types import DecodeStatistics, Hypothesis, Word
from streamer.core import events
from streamer.core.commands import ErrorCode
from streamer.metrics import Metrics
from streamer.recognition.batch import Batch
from streamer.recognition.lanes import Lane
from streamer.recognition.load import OPENING_S

WORD = Word(" one", 0, 8000, 0.9)


def values(metrics: Metrics) -> dict[str, float]:
    """Every sample by its name and labels."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_events_are_counted_by_kind() -> None:
    metrics = Metrics()
    for event in (
        events.SpeechStarted(1, 0),
        events.Partial(1, "one", 0, 8000, 100),
        events.Commit(1, 1, "one two", 0, 8000, (WORD, WORD), 8000),
        events.SpeechEnded(1, 8000),
        events.Final(1, "one two", 0, 8000, "en", 0),
        events.Gap(8000, 24_000, "why"),
        events.Warned("code", "words"),
        events.Flushed("x"),
        events.Failed("code", "words"),
        events.Done(24_000, 1),
    ):
        metrics.event(event)

    counted = values(metrics)
    expected = {
        "streamer_utterances_total": 1,
        "streamer_partials_total": 1,
        "streamer_commits_total": 1,
        "streamer_words_total": 2,
        "streamer_finals_total": 1,
        "streamer_gaps_total": 1,
        "streamer_gap_seconds_total": 1.0,
        "streamer_warnings_total": 1,
        "streamer_commit_lag_seconds_count": 1,
        "streamer_commit_lag_seconds_sum": 0.5,
    }
    assert {name: counted[name] for name in expected} == expected


def test_batches_tell_size_time_passes_and_drafts() -> None:
    metrics = Metrics()
    statistics = DecodeStatistics(
        passes=3,
        draft_tokens=5,
        accepted_tokens=4,
        tokens=6,
        encoder_positions=256,
        computed_positions=134,
        fallbacks=1,
    )
    hypothesis = Hypothesis(0, 16_000, (), "en", statistics=statistics)
    metrics.batch_done(Batch(Lane.FAST, (hypothesis, hypothesis), 0.25, (0.1, 0.2), 1.0))
    metrics.batch_failed(4)

    counted = values(metrics)
    expected = {
        "streamer_batch_size_sum": 2,
        "streamer_batch_size_count": 1,
        "streamer_batch_size_bucket le=1.0": 0,
        "streamer_batch_size_bucket le=2.0": 1,
        "streamer_batch_seconds_sum": 0.25,
        "streamer_batch_failures_total": 1,
        "streamer_decoder_passes_sum": 6,
        "streamer_decoder_passes_count": 2,
        "streamer_tokens_total": 12,
        "streamer_draft_tokens_total": 10,
        "streamer_draft_tokens_accepted_total": 8,
        "streamer_encoder_positions_total": 512,
        "streamer_encoder_positions_computed_total": 268,
        "streamer_fallbacks_total": 2,
    }
    assert {name: counted[name] for name in expected} == expected


def test_waits_are_counted_for_first_attempts_and_further_attempts_as_fallbacks() -> None:
    metrics = Metrics()
    hypothesis = Hypothesis(0, 16_000, (), "en", statistics=DecodeStatistics(passes=3))
    metrics.batch_done(Batch(Lane.FAST, (hypothesis, hypothesis), 0.25, (0.5, -3.0), 0.5))
    metrics.batch_done(Batch(Lane.SLOW, (hypothesis,), 0.25, (7.0,), 1.0))

    counted = values(metrics)
    expected = {
        "streamer_update_wait_seconds_count": 1,
        "streamer_update_wait_seconds_sum": 0.5,
        "streamer_fallbacks_total": 1,
        "streamer_batch_size_count": 2,
    }
    assert {name: counted[name] for name in expected} == expected


def test_errors_and_refusals_are_counted_by_their_code() -> None:
    metrics = Metrics()
    metrics.error(ErrorCode.BAD_SAMPLES)
    metrics.refusal(ErrorCode.BUSY)

    counted = values(metrics)
    assert counted["streamer_errors_total code=bad_samples"] == 1
    assert counted["streamer_refusals_total reason=busy"] == 1


def test_what_is_taken_in_is_audio_and_whoever_came_let_in_or_refused() -> None:
    metrics = Metrics()
    metrics.heard(8000)
    metrics.came()
    metrics.refusal(ErrorCode.BUSY)

    assert metrics.taken_in == 0.5 + 2 * OPENING_S
