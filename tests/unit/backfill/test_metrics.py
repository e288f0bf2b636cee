"""
A worker's numbers, as Prometheus reads them.
"""

import asyncio
import urllib.request
from collections.abc import Sequence

import pytest

from docstore.backfill.metrics import WorkerMetrics, served
from docstore.backfill.progress import Path
from docstore.backfill.throttling import Throttling
from docstore.core.batch_record import Tally
from docstore.core.throttle import Answer, Verdict


def scraped(metrics: WorkerMetrics) -> list[str]:
    with served(metrics, 0) as port, urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines: list[str] = answer.read().decode().splitlines()
    return lines


def test_rows_are_counted_by_path_and_outcome() -> None:
    metrics = WorkerMetrics()

    metrics.batch("place", Path.SERVER, Tally(server=90, client=7, quarantined=3), seconds=0.3)
    metrics.batch("place", Path.SERVER, Tally(server=10, conflicts=2), seconds=0.6)

    lines = scraped(metrics)
    assert 'docstore_backfill_rows_total{kind="place",outcome="rewritten",path="server"} 100.0' in lines
    assert 'docstore_backfill_rows_total{kind="place",outcome="rewritten",path="client"} 7.0' in lines
    assert 'docstore_backfill_rows_total{kind="place",outcome="quarantined",path="client"} 3.0' in lines
    assert 'docstore_backfill_rows_total{kind="place",outcome="conflict",path="client"} 2.0' in lines


def test_seconds_of_batches_are_a_histogram() -> None:
    metrics = WorkerMetrics()

    metrics.batch("place", Path.CLIENT, Tally(client=1), seconds=0.3)
    metrics.batch("place", Path.CLIENT, Tally(client=1), seconds=0.6)

    lines = scraped(metrics)
    assert 'docstore_backfill_batch_seconds_bucket{kind="place",le="0.5",path="client"} 1.0' in lines
    assert 'docstore_backfill_batch_seconds_count{kind="place",path="client"} 2.0' in lines


def test_remaining_rows_are_those_counted_last() -> None:
    metrics = WorkerMetrics()

    metrics.remaining("place", 100)
    metrics.remaining("place", 40)

    assert 'docstore_backfill_remaining_rows{kind="place"} 40.0' in scraped(metrics)


async def test_hold_seconds_and_lag_are_those_of_the_throttling() -> None:
    class Lag:
        name = "majority_lag"

        async def ask(self) -> Sequence[Answer]:
            return [Answer(self.name, Verdict.SLOW_DOWN, "behind", 2.5)]

        async def close(self) -> None:
            raise AssertionError

    metrics = WorkerMetrics()
    throttling = Throttling([Lag()])
    metrics.watch(throttling)
    before = await asyncio.to_thread(scraped, metrics)
    await throttling.before_batch(lambda: False)
    throttling.worked(seconds=0.02)
    await throttling.before_batch(lambda: False)

    lines = await asyncio.to_thread(scraped, metrics)

    assert not any("lag_seconds" in line for line in before)
    assert "docstore_backfill_majority_lag_seconds 2.5" in lines
    (held,) = [line for line in lines if line.startswith('docstore_backfill_hold_seconds_total{reason="majority_lag"}')]
    assert float(held.split()[-1]) > 0


def test_workers_of_one_process_count_apart() -> None:
    first, second = WorkerMetrics(), WorkerMetrics()

    first.remaining("place", 1)

    assert not any("remaining_rows{" in line for line in scraped(second))


def test_a_port_that_is_taken_is_an_error_and_the_port_is_free_again_afterwards() -> None:
    with served(WorkerMetrics(), 0) as port, pytest.raises(OSError, match="in use"), served(WorkerMetrics(), port):
        pass

    with served(WorkerMetrics(), port) as again:
        assert again == port
