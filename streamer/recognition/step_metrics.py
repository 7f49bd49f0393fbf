"""How decoding steps were made, in Prometheus' terms, read from the recognizer whenever somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

PLAIN = "eager_"
"""Starts the names of counts of steps without a graph; their reason follows."""


class StepMetrics(Collector):
    """Counters of a recognizer that uses graphs; shows nothing of one that does not."""

    def __init__(self, read: Callable[[], Mapping[str, int]]) -> None:
        """read: counts by name as `model.decoding.step_counters.StepCounters.values` has them; empty for none."""
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give the counters as they are now."""
        counts = self._read()
        if not counts:
            return
        steps = CounterMetricFamily("streamer_decode_steps", "Single-token steps by how they were made", labels=["by"])
        steps.add_metric(["graph"], counts["replays"])
        for name, count in counts.items():
            if name.startswith(PLAIN):
                steps.add_metric([name.removeprefix(PLAIN)], count)
        yield steps
        yield CounterMetricFamily("streamer_graphs_captured", "Graphs of steps captured", value=counts["captures"])
        yield CounterMetricFamily("streamer_graphs_evicted", "Graphs given up again", value=counts["evictions"])
        yield CounterMetricFamily(
            "streamer_decode_steps_unread", "Steps launched ahead that nobody read", value=counts["unread"]
        )
