from prometheus_client import CollectorRegistry, generate_latest

from model.decoding.step_counters import Reason, StepCounters
from model.recognizer import WhisperRecognizer
from streamer.recognition.step_metrics import StepMetrics
from tests.model.small_whisper import small_checkpoint


def exposed(read) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(StepMetrics(read))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_steps_are_shown_as_they_are_when_somebody_asks():
    counters = StepCounters()
    exposed(counters.values)
    counters.replays, counters.captures, counters.evictions, counters.unread = 7, 3, 1, 2
    counters.eager[Reason.MEMORY] = 5
    shown = exposed(counters.values)
    assert shown['streamer_decode_steps_total{by="graph"}'] == 7
    assert shown['streamer_decode_steps_total{by="memory"}'] == 5
    assert shown["streamer_graphs_captured_total"] == 3
    assert shown["streamer_graphs_evicted_total"] == 1
    assert shown["streamer_decode_steps_unread_total"] == 2


def test_a_recognizer_that_uses_no_steps_shows_none():
    assert exposed(WhisperRecognizer(small_checkpoint()).step_counts) == {}
