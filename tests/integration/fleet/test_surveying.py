"""
What a survey finds in a database.
"""

import asyncio
import datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from docstore import commands
from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.surveying import keep_surveying, survey
from docstore.core.survey import KindSurvey, Survey
from docstore.core.write_version import StoredRows
from docstore.errors import StoreUnavailableError
from docstore.fleet.controls import FleetControls
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.tag_index import build_tag_index
from tests.integration.fleet.conftest import STEADY, Nodes, silent, until
from tests.kinds import place_kind, stored

KIND = place_kind(latest=3)


async def looked(nodes: Nodes) -> Survey:
    return await survey(nodes.database, [KIND], now=commands.utc_now)


async def of_place(nodes: Nodes) -> KindSurvey:
    return (await looked(nodes)).kinds["place"]


async def test_a_database_without_anything_is_surveyed(nodes: Nodes) -> None:
    found = await looked(nodes)

    assert (found.kinds, found.knobs, found.nodes) == ({"place": KindSurvey(0)}, {}, {})


async def test_rows_that_arrive_behind_a_finished_run_are_counted(nodes: Nodes) -> None:
    await nodes.database.places.insert_many([stored(1, row_id) for row_id in range(5)])
    assert (await of_place(nodes)).behind is None
    await commands.backfill(nodes.database, KIND)
    assert (await of_place(nodes)).behind == 0

    await nodes.database.places.insert_many([stored(1, 7), stored(2, 8), stored(None, 9), stored(3, 10)])

    assert (await of_place(nodes)).behind == 3


async def test_rows_in_quarantine_are_counted_and_are_not_behind(nodes: Nodes) -> None:
    await nodes.database.places.insert_many([stored(1, 1), {**stored(1, 2), "tags": "no list"}])

    await commands.backfill(nodes.database, KIND)

    assert await of_place(nodes) == KindSurvey(quarantined=1, behind=0)


async def test_rows_that_a_rollback_wants_are_not_behind_the_run_before_it(nodes: Nodes) -> None:
    await nodes.database.places.insert_one(stored(2, 1))
    await nodes.open(3)
    await nodes.rollouts().advance(KIND)
    await commands.backfill(nodes.database, KIND)
    await nodes.rollouts().rollback("place")

    await nodes.database.places.insert_one(stored(2, 2))

    assert (await of_place(nodes)).behind == 0


async def test_a_run_over_some_rows_says_nothing_of_the_others(nodes: Nodes) -> None:
    await nodes.database.places.insert_many([stored(1, 1), stored(1, 2)])
    await commands.backfill_start(nodes.database, KIND, ids=[1], by="a test")
    await commands.work(nodes.database, [KIND], drain=True)

    assert (await of_place(nodes)).behind is None


async def test_a_rollout_is_open_since_it_was_begun_however_it_moves(nodes: Nodes) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    assert (await of_place(nodes)).rollout_since is None
    before = await _server_time(nodes)
    await nodes.rollouts().canary(KIND, 1.0)
    begun = (await of_place(nodes)).rollout_since
    await nodes.rollouts().canary(KIND, 2.0)
    await nodes.rollouts().advance(KIND)

    found = await of_place(nodes)

    assert begun is not None
    assert found == KindSurvey(0, rollout_since=begun, write_version=3, span=0)
    assert before <= begun <= await _server_time(nodes)

    await until(lambda: _settled(nodes))
    await nodes.rollouts().complete("place", StoredRows(3, 3))
    assert (await of_place(nodes)).rollout_since is None


async def test_knobs_in_use_and_a_freeze_have_their_times(nodes: Nodes) -> None:
    controls = FleetControls(nodes.database, by="me")
    await controls.turn("search", 1)
    await controls.turn("colour", "red", percent=20.0)
    first = (await looked(nodes)).knobs
    await controls.turn("search", 2)
    await controls.turn("colour", "red", percent=0.0)
    await controls.freeze("incident")

    found = await looked(nodes)

    assert first.keys() == {"search", "colour"}
    assert found.knobs.keys() == {"search"}
    assert found.knobs["search"] > first["search"]
    assert found.frozen_since is not None
    assert found.frozen_since >= found.knobs["search"]


async def test_nodes_that_vanished_are_dead_and_the_span_is_that_of_the_others(nodes: Nodes) -> None:
    await nodes.rows(2)
    gone = await nodes.open(2, instance="a")
    await nodes.open(3, instance="b", service="jobs")
    assert (await of_place(nodes)).span == 1

    await silent(nodes.database, gone, STEADY.dead_after)
    found = await until(lambda: _with_dead(nodes))

    assert found.nodes["api", "dead"] == 1
    assert found.nodes["jobs", "alive"] == 1
    assert found.kinds["place"].span == 0


async def test_the_count_of_rows_behind_reads_no_rows_where_there_are_none(nodes: Nodes) -> None:
    await nodes.database.places.insert_many([stored(1, row_id) for row_id in range(200)])
    await commands.backfill(nodes.database, KIND)
    await build_tag_index(nodes.database, "places", "schema_version")
    await nodes.database.command("profile", 2)

    await of_place(nodes)

    await nodes.database.command("profile", 0)
    on_rows = {"ns": f"{nodes.database.name}.places", "keysExamined": {"$exists": True}}
    looks = [each async for each in nodes.database["system.profile"].find(on_rows)]
    assert looks
    assert sum(each["docsExamined"] + each["keysExamined"] for each in looks) < 20


async def test_a_survey_that_fails_is_logged_and_made_again(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Survey] = []
    real = ControlRecords.view

    async def away(_: ControlRecords) -> Any:
        monkeypatch.setattr(ControlRecords, "view", real)
        raise StoreUnavailableError(reason="away")

    monkeypatch.setattr(ControlRecords, "view", away)
    with capture_logs() as logs:
        surveying = asyncio.create_task(
            keep_surveying(nodes.database, [KIND], told.append, now=commands.utc_now, interval=0.01)
        )
        while not told:
            assert not surveying.done()
            await asyncio.sleep(0.01)
        surveying.cancel()

    assert [log["reason"] for log in logs if log["event"] == "survey_failed"] == [
        "StoreUnavailableError: the database is not reachable: away"
    ]


async def test_a_worker_with_metrics_surveys_the_database(nodes: Nodes) -> None:
    metrics, stop = WorkerMetrics(), asyncio.Event()
    await nodes.database.places.insert_one(stored(1, 1))
    working = asyncio.create_task(commands.work(nodes.database, [KIND], stop=stop, metrics=metrics))

    def number(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"docstore_{name}", labels)

    while number("quarantined_rows", kind="place") is None or not number("node_writes", service="docstore worker"):
        assert not working.done()
        await asyncio.sleep(0.01)
    assert number("survey_timestamp_seconds") is not None
    assert number("node_latest_version", service="docstore worker", kind="place") == 3
    stop.set()
    await working

    assert number("node_writes", service="docstore worker") is None


async def _server_time(nodes: Nodes) -> datetime.datetime:
    answer = await nodes.database.command("hello")
    time: datetime.datetime = answer["localTime"]
    return time.replace(tzinfo=datetime.UTC)


async def _settled(nodes: Nodes) -> bool:
    return (await nodes.fleet()).settled(await nodes.control())


async def _with_dead(nodes: Nodes) -> Survey | None:
    found = await looked(nodes)
    return found if found.nodes["api", "dead"] else None
