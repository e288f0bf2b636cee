"""
How a database stands, in numbers for Prometheus.
"""

import datetime
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from docstore.core.survey import Survey

_KIND: Final = ("kind",)


class SurveyMetrics(Collector):
    """
    The last survey; nothing before the first one. Times are seconds since 1970, so that they age by themselves.

    - `docstore_survey_timestamp_seconds`: when it was made.
    - `docstore_quarantined_rows{kind}`: rows in quarantine.
    - `docstore_rows_behind_finished_run{kind}`: rows that came after a run that should have left none such.
    - `docstore_write_version{kind}`: what nodes store.
    - `docstore_rollout_open_since_timestamp_seconds{kind}`: since when a rollout is open.
    - `docstore_knob_turned_timestamp_seconds{knob}`: when a knob was turned that is in use.
    - `docstore_frozen_since_timestamp_seconds`: since when nobody can advance anything.
    - `docstore_fleet_latest_version_span{kind}`: how far the latest versions of live nodes are apart.
    - `docstore_fleet_nodes{service, life}`: nodes that are alive, waiting for admission, or dead and not replaced.
    """

    def __init__(self) -> None:
        self._survey: Survey | None = None

    def tell(self, survey: Survey) -> None:
        """
        Show this survey from now on.
        """
        self._survey = survey

    def collect(self) -> Iterator[Metric]:
        """
        Return the numbers of the last survey; called by the thread that serves them.
        """
        survey = self._survey
        at = GaugeMetricFamily("docstore_survey_timestamp_seconds", "When the database was looked at last.")
        frozen = GaugeMetricFamily("docstore_frozen_since_timestamp_seconds", "Since when everything is frozen.")
        quarantined = _by_kind("docstore_quarantined_rows", "Rows in quarantine.")
        behind = _by_kind("docstore_rows_behind_finished_run", "Rows that a finished run should not have left.")
        written = _by_kind("docstore_write_version", "The version that nodes store.")
        opened = _by_kind("docstore_rollout_open_since_timestamp_seconds", "Since when a rollout is open.")
        span = _by_kind("docstore_fleet_latest_version_span", "How far the latest versions of live nodes are apart.")
        turned = GaugeMetricFamily(
            "docstore_knob_turned_timestamp_seconds", "When a knob was turned that is in use.", labels=("knob",)
        )
        nodes = GaugeMetricFamily("docstore_fleet_nodes", "Nodes by whether they count.", labels=("service", "life"))
        if survey is not None:
            at.add_metric((), _seconds(survey.at))
            if survey.frozen_since is not None:
                frozen.add_metric((), _seconds(survey.frozen_since))
            for name, kind in survey.kinds.items():
                since = None if kind.rollout_since is None else _seconds(kind.rollout_since)
                for family, value in (
                    (quarantined, kind.quarantined),
                    (behind, kind.behind),
                    (written, kind.write_version),
                    (opened, since),
                    (span, kind.span),
                ):
                    if value is not None:
                        family.add_metric((name,), value)
            for knob, moment in survey.knobs.items():
                turned.add_metric((knob,), _seconds(moment))
            for labels, number in survey.nodes.items():
                nodes.add_metric(labels, number)
        yield from (at, frozen, quarantined, behind, written, opened, span, turned, nodes)


def _by_kind(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=_KIND)


def _seconds(at: datetime.datetime) -> float:
    return at.timestamp()
