"""
How a database stands, as Prometheus reads it.
"""

import datetime

from prometheus_client import CollectorRegistry, generate_latest

from docstore.backfill.metrics import WorkerMetrics
from docstore.core.survey import KindSurvey, Survey

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
THEN = NOW - datetime.timedelta(days=8)


def shown(registry: CollectorRegistry) -> set[str]:
    lines = generate_latest(registry).decode().splitlines()
    return {line for line in lines if line.startswith("docstore_") and "backfill" not in line}


def test_before_the_first_survey_nothing_is_shown() -> None:
    assert shown(WorkerMetrics().registry) == set()


def test_a_survey_is_shown_as_it_is_and_what_is_not_known_is_left_out() -> None:
    metrics = WorkerMetrics()
    place = KindSurvey(3, behind=0, rollout_since=THEN, write_version=2, span=1)
    metrics.survey.tell(
        Survey(
            NOW,
            {"place": place, "note": KindSurvey(0)},
            {"search": THEN},
            {("api", "alive"): 2, ("api", "dead"): 1},
            frozen_since=THEN,
        )
    )

    assert shown(metrics.registry) == {
        "docstore_survey_timestamp_seconds 1.7672256e+09",
        "docstore_frozen_since_timestamp_seconds 1.7665344e+09",
        'docstore_quarantined_rows{kind="place"} 3.0',
        'docstore_quarantined_rows{kind="note"} 0.0',
        'docstore_rows_behind_finished_run{kind="place"} 0.0',
        'docstore_write_version{kind="place"} 2.0',
        'docstore_rollout_open_since_timestamp_seconds{kind="place"} 1.7665344e+09',
        'docstore_fleet_latest_version_span{kind="place"} 1.0',
        'docstore_knob_turned_timestamp_seconds{knob="search"} 1.7665344e+09',
        'docstore_fleet_nodes{life="alive",service="api"} 2.0',
        'docstore_fleet_nodes{life="dead",service="api"} 1.0',
    }


def test_a_survey_takes_the_place_of_the_one_before() -> None:
    metrics = WorkerMetrics()
    metrics.survey.tell(Survey(THEN, {"place": KindSurvey(3)}, {"search": THEN}))
    metrics.survey.tell(Survey(NOW, {"place": KindSurvey(0)}))

    assert shown(metrics.registry) == {
        "docstore_survey_timestamp_seconds 1.7672256e+09",
        'docstore_quarantined_rows{kind="place"} 0.0',
    }
