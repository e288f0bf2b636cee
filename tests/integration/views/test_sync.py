"""
Views are made, mended and dropped; what docstore did not make is never touched; filters reach the indexes.
"""

from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.commands import ViewReport, ViewState, views_drop, views_list, views_sync
from docstore.core.operation import Operation
from docstore.errors import VersionRangeError, ViewRefusedError
from tests.kinds import place_kind, stored

Rows = AsyncDatabase[dict[str, Any]]


class Anything(Document):
    """
    A model that is never asked.
    """


RENAME = ops.RenameField("title", "name")
STATUS = ops.AddField("status", "new")


def kind_of(*operations: Operation, floor: int = 1, detect: Any = None) -> Kind[Anything]:
    steps = [Step(operation, to=number) for number, operation in enumerate(operations, start=2)]
    return Kind("thing", collection="things", model=Anything, steps=steps[floor - 1 :], floor=floor, detect=detect)


def states(reports: list[ViewReport]) -> dict[int, str]:
    return {report.version: report.state.value for report in reports}


async def names(database: Rows) -> list[str]:
    return sorted(name for name in await database.list_collection_names() if not name.startswith("system."))


async def test_the_first_sync_makes_the_view_of_latest_and_a_second_one_changes_nothing(database: Rows) -> None:
    kind = kind_of(RENAME, STATUS)

    assert states(await views_sync(database, kind)) == {3: "created"}
    assert states(await views_sync(database, kind)) == {3: "current"}
    assert await names(database) == ["things_v3"]


async def test_the_versions_named_once_stay_until_others_are_named(database: Rows) -> None:
    kind = kind_of(RENAME, STATUS)

    assert states(await views_sync(database, kind, versions=[1, 2])) == {1: "created", 2: "created", 3: "created"}
    assert states(await views_sync(database, kind)) == {1: "current", 2: "current", 3: "current"}
    assert states(await views_sync(database, kind, versions=[2])) == {1: "dropped", 2: "current", 3: "current"}
    assert await names(database) == ["things_v2", "things_v3"]


async def test_a_new_latest_gets_its_view_and_those_of_older_versions_learn_the_new_step(database: Rows) -> None:
    await database["things"].insert_one({"_id": 1, "schema_version": 3, "name": "a", "state": "old"})
    await views_sync(database, kind_of(RENAME))
    newer = kind_of(RENAME, ops.RenameField("status", "state"))

    assert states(await views_list(database, [newer])) == {2: "stale", 3: "missing"}
    assert states(await views_sync(database, newer)) == {2: "changed", 3: "created"}
    assert await database["things_v2"].find_one() == {"_id": 1, "schema_version": 2, "name": "a", "status": "old"}
    assert states(await views_list(database, [newer])) == {2: "current", 3: "current"}


async def test_the_release_before_leaves_views_alone_that_bring_newer_rows_down(database: Rows) -> None:
    await database["things"].insert_one({"_id": 1, "schema_version": 3, "label": "a"})
    older, newer = kind_of(RENAME), kind_of(RENAME, ops.RenameField("name", "label"))
    await views_sync(database, newer, versions=[2])

    assert states(await views_sync(database, older)) == {2: "newer", 3: "newer"}
    assert states(await views_list(database, [older])) == {2: "newer", 3: "newer"}
    assert await database["things_v2"].find_one() == {"_id": 1, "schema_version": 2, "name": "a"}
    # Whoever has gone back for good says so.
    await views_drop(database, older)
    assert states(await views_sync(database, older)) == {2: "created", 3: "newer"}


async def test_a_view_below_the_floor_is_dropped_and_one_above_latest_is_left_alone(database: Rows) -> None:
    await views_sync(database, kind_of(RENAME, STATUS), versions=[1, 2])

    older_code = kind_of(RENAME)
    assert states(await views_sync(database, older_code)) == {1: "newer", 2: "newer", 3: "newer"}
    raised = kind_of(RENAME, STATUS, floor=2)
    assert states(await views_list(database, [raised])) == {1: "retired", 2: "stale", 3: "stale"}
    assert states(await views_sync(database, raised)) == {1: "dropped", 2: "changed", 3: "changed"}
    assert await names(database) == ["things_v2", "things_v3"]


async def test_a_collection_under_the_name_of_a_view_is_refused_and_nothing_is_changed(database: Rows) -> None:
    kind = kind_of(RENAME, STATUS)
    await database["things_v2"].insert_one({"_id": 1})

    with pytest.raises(ViewRefusedError, match="things_v2") as refused:
        await views_sync(database, kind, versions=[1, 2])
    assert refused.value.view == "things_v2"
    with pytest.raises(ViewRefusedError, match="things_v2"):
        await views_drop(database, kind, versions=[2])
    assert states(await views_sync(database, kind)) == {2: "foreign", 3: "created"}
    assert states(await views_drop(database, kind)) == {3: "dropped"}
    assert await names(database) == ["things_v2"]


async def test_a_view_that_somebody_else_made_is_refused(database: Rows) -> None:
    await database.command({"create": "things_v3", "viewOn": "things", "pipeline": [{"$set": {"mine": 1}}]})
    await database.command({"create": "things_v2", "viewOn": "others", "pipeline": []})
    kind = kind_of(RENAME, STATUS)

    with pytest.raises(ViewRefusedError, match="things_v3"):
        await views_sync(database, kind)
    assert states(await views_list(database, [kind])) == {2: "foreign", 3: "foreign"}
    assert states(await views_drop(database, kind)) == {}
    assert await names(database) == ["things_v2", "things_v3"]


@pytest.mark.parametrize("version", [None, 1, 2])
async def test_a_view_is_refused_by_the_name_of_the_step_of_functions_that_stored_rows_would_need(
    database: Rows, version: int | None
) -> None:
    await database["places"].insert_many([stored(version, 1), stored(3, 2)])

    with pytest.raises(ViewRefusedError, match=r"places_v3.*step 3 cannot run on the server.*Python functions"):
        await views_sync(database, place_kind())
    assert await names(database) == ["places"]


async def test_a_view_over_a_step_of_functions_is_made_once_no_row_needs_it(database: Rows) -> None:
    await database["places"].insert_one(stored(3, 1))

    assert states(await views_sync(database, place_kind())) == {3: "created"}
    # Rows that come later are shown as they are stored: their tags tell.
    await database["places"].insert_many([stored(2, 2), stored(None, 3)])
    assert [row async for row in database["places_v3"].find(sort=[("_id", 1)])] == [
        stored(3, 1),
        stored(2, 2),
        stored(None, 3),
    ]
    assert states(await views_sync(database, place_kind())) == {3: "current"}


async def test_a_view_below_a_step_of_functions_is_refused_by_the_name_of_the_step(database: Rows) -> None:
    # Rows of the latest version are to come, even if there are none.
    with pytest.raises(ViewRefusedError, match=r"places_v2.*step 3 cannot run on the server.*Python functions"):
        await views_sync(database, place_kind(), versions=[2])
    assert await names(database) == []


async def test_a_view_that_newer_steps_forbid_is_named_in_the_list(database: Rows) -> None:
    await views_sync(database, place_kind(latest=2))

    refused, missing = await views_list(database, [place_kind()])

    assert refused.state is ViewState.REFUSED
    assert "step 3" in str(refused.reason)
    assert missing.state is ViewState.MISSING


async def test_a_view_below_a_step_without_a_way_back_is_refused_by_the_name_of_the_step(database: Rows) -> None:
    kind = kind_of(RENAME, ops.RemoveField("junk"))

    with pytest.raises(ViewRefusedError, match=r"things_v2.*step 3 has no way back"):
        await views_sync(database, kind, versions=[2])
    assert states(await views_sync(database, kind)) == {3: "created"}


@pytest.mark.parametrize("where", ["docstore.core.view_pipeline.MAX_DEPTH", "docstore.core.chain.MAX_DEPTH"])
async def test_steps_that_nest_deeper_than_servers_take_are_refused(
    database: Rows, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(where, 5)

    with pytest.raises(ViewRefusedError, match=r"things_v3.*nest"):
        await views_sync(database, kind_of(RENAME, ops.NestFields(["name"], into="person.names")))
    assert await names(database) == []


async def test_a_version_that_the_kind_does_not_have_is_refused(database: Rows) -> None:
    with pytest.raises(VersionRangeError):
        await views_sync(database, kind_of(RENAME), versions=[7])


async def test_rows_that_no_step_can_bring_there_are_shown_as_they_are_stored(database: Rows) -> None:
    rows: list[dict[str, Any]] = [
        {"_id": 1, "schema_version": 1, "title": "a", "name": "both"},
        {"_id": 2, "title": "c", "name": "both"},
        {"_id": 3, "schema_version": 9, "title": "newer"},
        {"_id": 4, "schema_version": "2", "title": "text"},
        {"_id": 5, "schema_version": [1], "title": "array"},
        {"_id": 6, "schema_version": 1.5, "title": "odd"},
    ]
    await database["things"].insert_many([*rows, {"_id": 7, "schema_version": 1, "title": "fine"}])
    await views_sync(database, kind_of(RENAME))

    seen = [row async for row in database["things_v2"].find(sort=[("_id", 1)])]

    assert seen == [*rows, {"_id": 7, "schema_version": 2, "name": "fine"}]


async def test_rows_without_a_tag_are_shown_as_they_are_stored_where_detect_would_decide(database: Rows) -> None:
    await database["things"].insert_many([{"_id": 1, "title": "a"}, {"_id": 2, "title": "b", "schema_version": 1}])
    await views_sync(database, kind_of(RENAME, detect=lambda row: 1 if "title" in row else 2))

    seen = [row async for row in database["things_v2"].find(sort=[("_id", 1)])]

    assert seen == [{"_id": 1, "title": "a"}, {"_id": 2, "schema_version": 2, "name": "b"}]


async def test_the_field_of_the_tag_the_baseline_and_the_floor_are_those_of_the_kind(database: Rows) -> None:
    steps = [Step(RENAME, to=4), Step(STATUS, to=5)]

    def kind(floor: int) -> Kind[Anything]:
        return Kind(
            "thing",
            collection="things",
            model=Anything,
            steps=steps[floor - 3 :],
            version_field="v",
            baseline=3,
            floor=floor,
        )

    rows: list[dict[str, Any]] = [
        {"_id": 1, "title": "a"},
        {"_id": 2, "v": None, "title": "b"},
        {"_id": 3, "v": 4, "name": "c"},
        {"_id": 4, "v": 2, "title": "d"},
    ]
    await database["things"].insert_many(rows)
    await views_sync(database, kind(3))
    seen = [row async for row in database["things_v5"].find(sort=[("_id", 1)])]
    assert seen == [
        {"_id": 1, "v": 5, "name": "a", "status": "new"},
        {"_id": 2, "v": 5, "name": "b", "status": "new"},
        {"_id": 3, "v": 5, "name": "c", "status": "new"},
        rows[3],
    ]

    await views_sync(database, kind(4))
    seen = [row async for row in database["things_v5"].find(sort=[("_id", 1)])]
    assert seen == [rows[0], rows[1], {"_id": 3, "v": 5, "name": "c", "status": "new"}, rows[3]]


async def test_a_filter_on_an_untouched_field_reaches_its_index_through_the_view(database: Rows) -> None:
    kind = kind_of(RENAME, STATUS, ops.NestFields(["street", "zip"], into="address"))
    things = database["things"]
    await things.insert_many(
        [{"_id": n, "schema_version": n % 3 + 1, "title": "a", "population": n, "zip": "1010"} for n in range(300)]
    )
    await things.create_index("population")
    await views_sync(database, kind, versions=[3], declared=[2])

    for view, asked, stage, index in (
        ("things_v4", {"population": 17}, "IXSCAN", "population_1"),
        ("things_v2", {"population": {"$gte": 290}, "name": "a"}, "IXSCAN", "population_1"),
        ("things_v3", {"population": 17}, "IXSCAN", "population_1"),
        ("things_v4", {"_id": 17}, "IXSCAN", "_id_"),
    ):
        plan = await database.command({"explain": {"find": view, "filter": asked}, "verbosity": "executionStats"})
        cursor = plan["stages"][0]["$cursor"] if "stages" in plan else plan
        scans = list(stages_of(cursor["queryPlanner"]["winningPlan"]))
        assert [scan for scan in scans if scan["stage"] == "COLLSCAN"] == []
        assert {scan.get("indexName", index) for scan in scans if scan["stage"] in {stage, "IDHACK"}} == {index}
        assert cursor["executionStats"]["totalDocsExamined"] <= 10


def stages_of(plan: dict[str, Any]) -> Any:
    plan = plan.get("queryPlan", plan)
    yield plan
    for inner in (plan.get("inputStage"), *plan.get("inputStages", ())):
        if inner is not None:
            yield from stages_of(inner)


async def test_text_is_compared_byte_by_byte_on_a_collection_with_a_collation(database: Rows) -> None:
    await database.create_collection("things", collation={"locale": "en", "strength": 2})
    await database["things"].insert_many(
        [{"_id": 1, "size": "a", "schema_version": 1}, {"_id": 2, "size": "A", "schema_version": 1}]
    )
    await views_sync(database, kind_of(ops.MapValues("size", {"a": 1}, other="keep")))

    assert [row["size"] async for row in database["things_v2"].find(sort=[("_id", 1)])] == [1, "A"]


async def test_motor_makes_the_same_views(motor_database: Any, database: Rows) -> None:
    kind = kind_of(RENAME)

    assert states(await views_sync(motor_database, kind)) == {2: "created"}
    assert states(await views_sync(database, kind)) == {2: "current"}
    assert states(await views_drop(motor_database, kind)) == {2: "dropped"}
    assert states(await views_drop(motor_database, kind)) == {}


async def test_the_mock_has_no_views(mock_database: Any) -> None:
    with pytest.raises(ViewRefusedError, match="mongomock"):
        await views_sync(mock_database, kind_of(RENAME))
