"""
What a process does with the rows of its kinds, and how it fares as a node, in numbers for Prometheus.
"""

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from docstore.core.kind import Kind
from docstore.errors import (
    BulkFailedError,
    DocstoreError,
    DocumentError,
    DocumentNotFoundError,
    InvalidDocumentError,
    NewerVersionError,
    RetiredVersionError,
    UpgradeFailedError,
)
from docstore.fleet.metrics import NodeMetrics

#: Stands for versions above the kind's latest, and for rows of which nobody knows where they stand: foreign programs
#: may write any number into the tag, and a label must not take any value.
_NEWER: Final = "newer"
_UNKNOWN: Final = "unknown"

_KIND: Final = ("service", "kind")


class StoreMetrics(Collector):
    """
    Counts for the stores of one process; `Store(..., metrics=StoreMetrics(registry))`.

    Where a store has none, nothing is counted and nothing is paid. No label holds an id or a value of a row; *version*
    is the one at which a row is stored: a number up to the kind's latest, `newer`, or `unknown`.

    - `docstore_store_rows_read_total{service, kind, version}`: rows that reads returned; what the server counts or
      aggregates is not among them.
    - `docstore_store_rows_written_total{service, kind, version, operation}`: rows stored, by `insert`, `rewrite`
      (replace, modify, upgrades), `overwrite` or `update`.
    - `docstore_store_rows_deleted_total{service, kind}`: rows deleted.
    - `docstore_store_upgrade_failures_total{service, kind, version, error}`: rows that could not be read, by the
      error's class.
    - `docstore_store_conflicts_total{service, kind}`: writes that came after somebody else's; most are tried again.
    - `docstore_store_refusals_total{service, kind, error}`: calls that ended in an error of docstore, by its class.
      That a row was not found is an answer.

    And how the process fares as a node: see `NodeMetrics`.

    Args:
        registry: Where the numbers are asked for; `prometheus_client.REGISTRY` is that of the process. What Prometheus'
            client does for several processes behind one port (its multiprocess mode) does not reach these.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts: dict[tuple[str, str], KindCounts] = {}
        self.node = NodeMetrics()
        registry.register(self)

    def of(self, service: str, kind: Kind[Any]) -> "KindCounts":
        """
        Return what counts the rows of a kind; the same for every store of a service.
        """
        counts = self._counts.setdefault((service, kind.name), KindCounts(kind.latest))
        counts.latest = max(counts.latest, kind.latest)
        return counts

    def collect(self) -> Iterator[Metric]:
        """
        Return the numbers of the moment; called by the thread that serves them.
        """
        yield from _rows(self._counts.copy())
        yield from self.node.collect()


class KindCounts:
    """
    Counts the rows of one kind; an `Observer`.

    Plain numbers, because a row is read in microseconds; they are changed by the event loop's thread alone.
    """

    def __init__(self, latest: int) -> None:
        self.latest = latest
        self.reads: Counter[int] = Counter()
        self.writes: Counter[tuple[str, int | None]] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.deletions = 0
        self.lost = 0
        # An error passes several places on its way to the caller. Held weakly: it holds the frames that it passed.
        self._unreadable: weakref.ref[DocumentError] | None = None
        self._refused: weakref.WeakSet[DocstoreError] = weakref.WeakSet()

    def read(self, version: int) -> None:
        """
        A row was read that is stored at this version.
        """
        self.reads[version] += 1

    def unreadable(self, error: DocumentError) -> None:
        """
        A row could not be read.
        """
        if self._unreadable is not None and self._unreadable() is error:
            return
        self._unreadable = weakref.ref(error)
        self.failures[self.label(_stands_at(error)), type(error).__name__] += 1

    def wrote(self, operation: str, version: int | None, rows: int) -> None:
        """
        Rows were stored at this version, or at one that nobody knows (None).
        """
        if rows:
            self.writes[operation, version] += rows

    def deleted(self, rows: int) -> None:
        """
        Rows were deleted.
        """
        self.deletions += rows

    def conflicts(self, rows: int) -> None:
        """
        Rows were to be written that somebody changed since they were read.
        """
        self.lost += rows

    def refused(self, error: DocstoreError) -> None:
        """
        A call ended with an error.
        """
        if isinstance(error, BulkFailedError):
            for each in error.errors.values():
                self.refused(each)
        elif not isinstance(error, DocumentNotFoundError) and error not in self._refused:
            self._refused.add(error)
            self.refusals[type(error).__name__] += 1

    def label(self, version: int | None) -> str:
        """
        Return a version as a label; there are no more labels than the kind has versions, and two.
        """
        if version is None or version < 1:
            return _UNKNOWN
        return _NEWER if version > self.latest else str(version)


def _stands_at(error: DocumentError) -> int | None:
    if isinstance(error, NewerVersionError | RetiredVersionError):
        return error.found
    return error.version if isinstance(error, UpgradeFailedError | InvalidDocumentError) else None


def _rows(counts: dict[tuple[str, str], KindCounts]) -> Iterator[Metric]:
    read = _counter("rows_read", "Rows that were read, by the version at which they are stored.", "version")
    written = _counter("rows_written", "Rows stored, by version and operation.", "version", "operation")
    deleted = _counter("rows_deleted", "Rows deleted.")
    failed = _counter("upgrade_failures", "Rows that could not be read, by version and error.", "version", "error")
    lost = _counter("conflicts", "Writes that came after somebody else's.")
    refused = _counter("refusals", "Calls that ended in an error of docstore.", "error")
    for names, kind in counts.items():
        for label, rows in _summed((kind.label(version), rows) for version, rows in kind.reads.copy().items()):
            read.add_metric((*names, label), rows)
        stored = (((kind.label(version), operation), rows) for (operation, version), rows in kind.writes.copy().items())
        for labels, rows in _summed(stored):
            written.add_metric((*names, *labels), rows)
        for labels, rows in kind.failures.copy().items():
            failed.add_metric((*names, *labels), rows)
        for error, calls in kind.refusals.copy().items():
            refused.add_metric((*names, error), calls)
        deleted.add_metric(names, kind.deletions)
        lost.add_metric(names, kind.lost)
    yield from (read, written, deleted, failed, lost, refused)


def _summed(pairs: Iterable[tuple[Any, int]]) -> Iterable[tuple[Any, int]]:
    sums: Counter[Any] = Counter()
    for labels, number in pairs:
        sums[labels] += number
    return sums.items()


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"docstore_store_{name}", text, labels=(*_KIND, *labels))
