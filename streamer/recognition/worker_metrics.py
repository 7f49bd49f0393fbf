"""How the recognizer's process fares, in Prometheus' terms, read from its supervisor whenever somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamer.worker.causes import Cause
from streamer.worker.supervisor import Supervisor


class WorkerMetrics(Collector):
    """Gauges and counters of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        """Read from a supervisor."""
        self._supervisor = supervisor

    def collect(self) -> Iterator[Metric]:
        """Give them as they are now."""
        supervisor = self._supervisor
        restarts = CounterMetricFamily(
            "streamer_worker_restarts", "Times the recognizer's process was lost, by cause", labels=["cause"]
        )
        for cause in Cause:
            restarts.add_metric([cause], supervisor.restarts[cause])
        yield restarts
        yield GaugeMetricFamily(
            "streamer_worker_heartbeat_age_seconds",
            "Since the last sign of life of the recognizer's process; 0 while there is none",
            value=supervisor.silence,
        )
        yield GaugeMetricFamily(
            "streamer_worker_up", "1 while a process has the model loaded", value=float(supervisor.serving)
        )
