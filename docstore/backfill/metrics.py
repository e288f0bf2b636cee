"""
What a worker does, in numbers for Prometheus.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from docstore.backfill.progress import Path
from docstore.backfill.survey_metrics import SurveyMetrics
from docstore.backfill.throttling import Throttling
from docstore.core.batch_record import Tally
from docstore.fleet.metrics import NodeMetrics

#: Batches are made to last half a second.
_SECONDS: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 20.0)


class WorkerMetrics:
    """
    Counts for one worker; each has a registry of its own.

    - `docstore_backfill_rows_total{kind, path, outcome}`: rows rewritten on the server or the client path,
      quarantined, left to the next pass because others kept changing them, and (outcome `conflict`) read again.
    - `docstore_backfill_batch_seconds{kind, path}`: how long batches took, without the time they were held back.
    - `docstore_backfill_remaining_rows{kind}`: rows that are left to do, of all workers: counted when the run began and
      when it has succeeded, in between less what was done since.
    - `docstore_backfill_hold_seconds_total{reason}`: time that batches were held back, by the signal that asked for it.
    - `docstore_backfill_majority_lag_seconds`: how far the majority was behind the primary when last asked.

    And how the database stands, and the worker as a node: see `SurveyMetrics` and `NodeMetrics`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rows = Counter(
            "docstore_backfill_rows",
            "Rows by where they were upgraded and what became of them.",
            ("kind", "path", "outcome"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "docstore_backfill_batch_seconds",
            "How long batches took.",
            ("kind", "path"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._remaining = Gauge(
            "docstore_backfill_remaining_rows",
            "Rows that are left to do, of all workers.",
            ("kind",),
            registry=self.registry,
        )
        self.survey = SurveyMetrics()
        self.node = NodeMetrics()
        for collector in (self.survey, self.node):
            self.registry.register(collector)

    def batch(self, kind: str, path: Path, tally: Tally, *, seconds: float) -> None:
        """
        Count a batch.

        Args:
            kind: Whose rows.
            path: Where its rows were to be upgraded.
            tally: What it came to.
            seconds: How long it took.
        """
        client = Path.CLIENT.value
        for where, outcome, rows in (
            (Path.SERVER.value, "rewritten", tally.server),
            (client, "rewritten", tally.client),
            (client, "quarantined", tally.quarantined),
            (client, "contested", tally.contested),
            (client, "conflict", tally.conflicts),
        ):
            if rows:
                self._rows.labels(kind, where, outcome).inc(rows)
        self._seconds.labels(kind, path.value).observe(seconds)

    def remaining(self, kind: str, rows: int) -> None:
        """
        Say how many rows are left.
        """
        self._remaining.labels(kind).set(rows)

    def watch(self, throttling: Throttling) -> None:
        """
        Tell what a throttling has waited for and measured, whenever the numbers are asked for.
        """
        self.registry.register(_Holds(throttling))


class _Holds(Collector):
    def __init__(self, throttling: Throttling) -> None:
        self._throttling = throttling

    def collect(self) -> Iterator[Metric]:
        """
        Return the numbers of the moment; called by the thread that serves them.
        """
        held = CounterMetricFamily(
            "docstore_backfill_hold_seconds", "Time that batches were held back.", labels=("reason",)
        )
        for signal, seconds in self._throttling.waited.copy().items():
            held.add_metric((signal,), seconds)
        yield held
        lag = self._throttling.values.get("majority_lag")
        if lag is not None:
            yield GaugeMetricFamily(
                "docstore_backfill_majority_lag_seconds", "How far the majority is behind the primary.", value=lag
            )


@contextmanager
def served(metrics: WorkerMetrics, port: int) -> Iterator[int]:
    """
    Serve the numbers over HTTP until the block ends; give the port, which is a free one if *port* is 0.

    Raises:
        OSError: The port cannot be had.
    """
    server, thread = start_http_server(port, registry=metrics.registry)
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
