"""
Coverage as Prometheus reads it: for a file that its node exporter collects.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from docstore.core.coverage import Coverage
from docstore.core.remaining_rows import RemainingRows


def coverage_metrics(reports: Iterable[Coverage | RemainingRows]) -> str:
    """
    Return the reports in the text format of Prometheus. Times are seconds since 1970, so that they age by themselves.

    - `docstore_coverage_rows{kind, version}`: rows by version; `newer` above latest, `untagged`, `unreadable`.
    - `docstore_coverage_remaining_rows{kind}`: rows below latest, and those of which nobody can say that they are not.
    - `docstore_coverage_ratio{kind}`: the share of rows at latest; not where only what remains was counted.
    - `docstore_coverage_quarantined_rows{kind}`: rows that a backfill put aside.
    - `docstore_coverage_latest_version{kind}`, `_floor_version`, `_write_version`, `_retirable_below_version`.
    - `docstore_coverage_oldest_row_timestamp_seconds{kind}`: when the oldest row below latest was made.
    - `docstore_coverage_counted_timestamp_seconds{kind}`: when the rows were counted.
    - `docstore_coverage_exact{kind}`: 1 if all counts are of one moment.
    """
    registry = CollectorRegistry()
    registry.register(_Reports(tuple(reports)))
    return generate_latest(registry).decode()


class _Reports(Collector):
    def __init__(self, reports: tuple[Coverage | RemainingRows, ...]) -> None:
        self._reports = reports

    def collect(self) -> Iterator[Metric]:
        rows = GaugeMetricFamily("docstore_coverage_rows", "Rows by version.", labels=("kind", "version"))
        for report in self._reports:
            for version, number in _rows(report).items():
                rows.add_metric((report.kind, version), number)
        yield rows
        for name, text in _FIGURES.items():
            family = GaugeMetricFamily(f"docstore_coverage_{name}", text, labels=("kind",))
            for report in self._reports:
                value = _figures(report)[name]
                if value is not None:
                    family.add_metric((report.kind,), value)
            yield family


_FIGURES = {
    "remaining_rows": "Rows below latest, and those of which nobody can say that they are not.",
    "ratio": "The share of rows at latest.",
    "quarantined_rows": "Rows that a backfill put aside.",
    "latest_version": "The highest version that the code knows.",
    "floor_version": "The lowest version that the code reads.",
    "write_version": "The version that nodes store.",
    "retirable_below_version": "The version below which nothing is in the way of a retirement.",
    "oldest_row_timestamp_seconds": "When the oldest row below latest was made.",
    "counted_timestamp_seconds": "When the rows were counted.",
    "exact": "Whether all counts are of one moment.",
}


def _rows(report: Coverage | RemainingRows) -> dict[str, int]:
    # Every version that the code knows, so that one that is done goes to 0; others share a series, for ever.
    known = range(report.floor, report.latest + (1 if isinstance(report, Coverage) else 0))
    rows = {str(version): 0 for version in known}
    for count in report.versions:
        version = "newer" if count.version > report.latest else str(count.version)
        rows[version] = rows.get(version, 0) + count.rows
    return {**rows, "untagged": report.untagged, "unreadable": report.unreadable}


def _figures(report: Coverage | RemainingRows) -> dict[str, float | None]:
    oldest = report.oldest_below
    whole = report if isinstance(report, Coverage) else None
    return {
        "remaining_rows": report.remaining,
        "ratio": None if whole is None else whole.coverage,
        "quarantined_rows": report.quarantined,
        "latest_version": report.latest,
        "floor_version": report.floor,
        "write_version": report.write_version,
        "retirable_below_version": None if whole is None else whole.retirable_below,
        "oldest_row_timestamp_seconds": None if oldest is None else oldest.created.timestamp(),
        "counted_timestamp_seconds": report.counted_at.timestamp(),
        "exact": float(report.exact),
    }
