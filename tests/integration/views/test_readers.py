"""
Views come with the readers of their version that are found, and go with them; those named by hand stay.
"""

import datetime
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase
from structlog.testing import capture_logs

from docstore import Document, Kind, Step, Store
from docstore import operations as ops
from docstore.commands import (
    ViewReader,
    ViewReport,
    ViewState,
    fleet_declare,
    fleet_forget,
    rollout_canary,
    views_list,
    views_sync,
)
from docstore.core.operation import Operation
from docstore.core.rollout_gates import Overrides
from docstore.errors import ViewRefusedError
from docstore.mongo.client_versions import AskedFor, ClientVersions
from tests.kinds import place_kind, stored

Rows = AsyncDatabase[dict[str, Any]]

NOW = datetime.datetime(2030, 3, 31, 12, tzinfo=datetime.UTC)
RENAME = ops.RenameField("title", "name")
STATUS = ops.AddField("status", "new")


class Anything(Document):
    """
    A model that is never asked.
    """


def kind_of(*operations: Operation, floor: int = 1) -> Kind[Anything]:
    steps = [Step(operation, to=number) for number, operation in enumerate(operations, start=2)]
    return Kind("thing", collection="things", model=Anything, steps=steps[floor - 1 :], floor=floor)


async def asked(database: Rows, version: int, *, days_ago: int = 0, kind: str = "thing") -> None:
    at = NOW - datetime.timedelta(days=days_ago)
    await ClientVersions(database).add(kind, AskedFor(version, at.date().isoformat(), 1, at))


async def synced(database: Rows, kind: Kind[Any], **options: Any) -> dict[int, str]:
    return states(await views_sync(database, kind, now=lambda: NOW, **options))


async def listed(database: Rows, kind: Kind[Any], **options: Any) -> dict[int, str]:
    return states(await views_list(database, [kind], now=lambda: NOW, **options))


def states(reports: list[ViewReport]) -> dict[int, str]:
    return {report.version: report.state.value for report in reports}


async def test_a_version_that_clients_ask_for_gets_a_view_and_loses_it_when_nobody_has_asked_for_long(
    database: Rows,
) -> None:
    kind = kind_of(RENAME, STATUS)
    await asked(database, 1)
    await asked(database, 2, days_ago=30)

    assert await listed(database, kind) == {1: "missing", 2: "missing", 3: "missing"}
    assert await synced(database, kind) == {1: "created", 2: "created", 3: "created"}
    assert await synced(database, kind) == {1: "current", 2: "current", 3: "current"}
    later = NOW + datetime.timedelta(days=1)
    assert states(await views_list(database, [kind], now=lambda: later)) == {1: "current", 2: "unread", 3: "current"}
    assert states(await views_sync(database, kind, now=lambda: later)) == {1: "current", 2: "dropped", 3: "current"}
    assert "things_v2" not in await database.list_collection_names()


async def test_who_asks_through_a_store_is_found(database: Rows) -> None:
    kind = kind_of(RENAME, STATUS)
    await database["things"].insert_one({"_id": 1, "schema_version": 3, "name": "a", "status": "new"})
    async with Store(database, kinds=[kind], service="tests") as store:
        await store.collection(kind).get(1, as_version=1)

    reports = await views_sync(database, kind)

    assert [(report.version, report.readers) for report in reports] == [
        (1, (ViewReader.CLIENTS,)),
        (3, (ViewReader.LATEST,)),
    ]
    assert await database["things_v1"].find_one() == {"_id": 1, "schema_version": 1, "title": "a"}


async def test_declared_readers_keep_a_view_as_long_as_they_are_declared(database: Rows) -> None:
    kind = kind_of(RENAME, STATUS)

    # Versions that this code does not have are somebody else's business.
    assert await synced(database, kind, declared=[2, 7]) == {2: "created", 3: "created"}
    assert await listed(database, kind, declared={"thing": [2]}) == {2: "current", 3: "current"}
    assert await synced(database, kind) == {2: "dropped", 3: "current"}


async def test_live_nodes_of_an_older_release_have_a_view_of_their_latest(database: Rows) -> None:
    kind = kind_of(RENAME, STATUS)
    async with Store(database, kinds=[kind_of(RENAME)], service="tests"):
        reports = await views_sync(database, kind, now=lambda: NOW)
        assert [(report.version, report.readers) for report in reports] == [
            (2, (ViewReader.NODES,)),
            (3, (ViewReader.LATEST,)),
        ]
        # What newer nodes read is no business of the release before.
        assert await listed(database, kind_of(RENAME)) == {2: "newer", 3: "newer"}

    assert await listed(database, kind) == {2: "unread", 3: "current"}
    assert await synced(database, kind) == {2: "dropped", 3: "current"}


async def test_readers_declared_in_the_fleet_have_a_view_of_the_highest_version_that_they_read(database: Rows) -> None:
    kind = kind_of(RENAME, STATUS)
    await fleet_declare(database, "bi", kind, low=1, high=2, by="me")
    await fleet_declare(database, "shell", kind, low=1, high=9, by="me")

    reports = await views_sync(database, kind, now=lambda: NOW)
    assert [(report.version, report.readers) for report in reports] == [
        (2, (ViewReader.DECLARED,)),
        (3, (ViewReader.LATEST, ViewReader.DECLARED)),
    ]
    await fleet_forget(database, "bi", by="me")
    assert await synced(database, kind) == {2: "dropped", 3: "current"}


@pytest.mark.parametrize("has_views", [True, False])
async def test_a_rollout_has_the_views_know_the_newer_version_before_its_first_row(
    database: Rows,
    has_views: bool,  # noqa: FBT001 - a case
) -> None:
    kind = kind_of(RENAME, STATUS)
    await database["things"].insert_one({"_id": 1, "schema_version": 2, "name": "a"})
    if has_views:
        await views_sync(database, kind_of(RENAME), now=lambda: NOW)
    async with Store(database, kinds=[kind], service="tests") as store:
        await rollout_canary(database, kind, 100, by="me")
        await store.collection(kind).update({"_id": 1}, {"$set": {"name": "b", "status": "x"}})
    assert (await database["things"].find_one({})) == {"_id": 1, "schema_version": 3, "name": "b", "status": "x"}
    if has_views:
        assert await database["things_v2"].find_one({}) == {"_id": 1, "schema_version": 2, "name": "b"}
        assert await listed(database, kind) == {2: "current", 3: "current"}
    else:
        assert await listed(database, kind) == {3: "missing"}


async def test_a_rollout_goes_on_where_a_view_cannot_follow_and_names_it(database: Rows) -> None:
    kind = kind_of(RENAME, ops.RemoveField("name"))
    await database["things"].insert_one({"_id": 1, "schema_version": 2, "name": "a"})
    await views_sync(database, kind_of(RENAME), now=lambda: NOW)
    async with Store(database, kinds=[kind], service="tests"):
        with capture_logs() as logs:
            await rollout_canary(database, kind, 0, by="me", overrides=Overrides(irreversible=True))
    (told,) = [entry for entry in logs if entry["event"] == "view_not_in_step"]
    assert (told["view"], told["log_level"]) == ("things_v2", "warning")
    assert "step 3 has no way back" in told["reason"]


async def test_a_view_that_was_named_or_that_was_latest_stays_without_readers_that_anybody_sees(database: Rows) -> None:
    await synced(database, kind_of(RENAME), versions=[1])
    kind = kind_of(RENAME, STATUS)

    assert await synced(database, kind) == {1: "changed", 2: "changed", 3: "created"}
    (first, *_) = await views_list(database, [kind], now=lambda: NOW)
    assert first.readers == (ViewReader.BY_HAND,)
    # Naming others drops it, and never what clients ask for.
    await asked(database, 2)
    assert await synced(database, kind, versions=[]) == {1: "dropped", 2: "changed", 3: "current"}
    assert await synced(database, kind) == {2: "current", 3: "current"}


async def test_a_view_that_was_found_and_is_named_then_stays(database: Rows) -> None:
    kind = kind_of(RENAME, STATUS)
    assert await synced(database, kind, declared=[2]) == {2: "created", 3: "created"}
    assert await synced(database, kind, versions=[2]) == {2: "changed", 3: "current"}
    assert await synced(database, kind) == {2: "current", 3: "current"}


async def test_a_view_goes_with_its_version_whoever_asks(database: Rows) -> None:
    await asked(database, 1)
    await synced(database, kind_of(RENAME, STATUS), versions=[2])
    raised = kind_of(RENAME, STATUS, floor=3)
    assert await synced(database, raised) == {1: "dropped", 2: "dropped", 3: "changed"}


async def test_what_cannot_be_made_for_readers_that_were_found_stands_in_nobodys_way(database: Rows) -> None:
    await asked(database, 2, kind="place")
    await asked(database, 1, kind="place")
    await database["places"].insert_one(stored(3, 1))
    await database["places_v1"].insert_one({"_id": 1})

    reports = await views_sync(database, place_kind(), now=lambda: NOW)

    assert states(reports) == {1: "foreign", 2: "refused", 3: "created"}
    assert "step 3" in str(reports[1].reason)
    assert reports[1].state is ViewState.REFUSED
    assert await database["places_v1"].find_one() == {"_id": 1}
    with pytest.raises(ViewRefusedError, match="step 3"):
        await views_sync(database, place_kind(), versions=[2], now=lambda: NOW)
