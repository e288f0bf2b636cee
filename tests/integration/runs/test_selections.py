"""
Runs over some rows only: named by id, or picked at random; shared by workers like every other run.
"""

import asyncio
import datetime
import json
from typing import Any

import pytest
from bson.objectid import ObjectId
from bson.timestamp import Timestamp
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.operations import IndexModel

from docstore import Kind, Step, commands
from docstore.backfill.operating import LiveOption
from docstore.core.id_range import BEGINNING
from docstore.core.residue import RESIDUE
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from docstore.errors import BackfillRefusedError
from docstore.mongo import selections
from docstore.mongo.selections import Selection, forget_abandoned
from tests.integration.runs.conftest import PATIENCE, Processes, old_rows, until
from tests.kinds import Place, drop_slug, place_kind, stored

Database = AsyncDatabase[dict[str, Any]]

#: Ids of many types, in the order in which the server keeps them.
IDS = [
    None,
    1,
    2.5,
    7,
    "a",
    "b",
    {"a": 1},
    ObjectId("0" * 24),
    True,
    datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    Timestamp(0, 0),
]


async def versions(database: Database, collection: str = "places") -> dict[int, int]:
    groups = await database[collection].aggregate([{"$group": {"_id": "$schema_version", "rows": {"$sum": 1}}}])
    return {group["_id"]: group["rows"] async for group in groups}


async def test_ids_of_all_types_come_back_in_the_order_of_the_server(database: Database) -> None:
    selection = Selection(database, ObjectId())
    await selection.add(list(reversed(IDS)))
    await selection.add([1.0, "a"])
    other = Selection(database, ObjectId())
    await other.add(["c"])

    assert await selection.ids() == IDS
    assert await selection.size() == len(IDS)
    assert await selection.ids(1, "a") == [2.5, 7, "a"]
    assert await selection.ids("b", limit=2) == [{"a": 1}, ObjectId("0" * 24)]
    assert await selection.ids(Timestamp(0, 0), BEGINNING) == []
    await selection.forget()
    assert await selection.ids() == []
    assert await other.ids() == ["c"]


async def test_pages_hold_every_id_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selections, "IDS_AT_ONCE", 4)
    selection = Selection(database, ObjectId())
    await selection.add(IDS)

    pages = [page async for page in selection.pages()]

    assert [len(page) for page in pages] == [4, 4, 3]
    assert [each for page in pages for each in page] == IDS


async def test_a_run_by_ids_does_these_rows_and_no_other_on_either_path(database: Database) -> None:
    rows = [stored(1, number) for number in range(20)] + [stored(2, number) for number in range(20, 40)]
    await database["places"].insert_many([*rows, {**stored(1), "_id": "x"}, {**stored(1), "_id": 3.5}])
    ids = [3, 4, 25, "x", 3.5, 3, "nobody", 4.0]

    result = await commands.backfill(database, place_kind(), ids=ids)

    done = {row["_id"] async for row in database["places"].find({"schema_version": place_kind().latest})}
    assert (result.state, result.complete, result.remaining) == (RunState.SUCCEEDED, True, 0)
    assert result.selection is not None
    assert (result.selection.ids, result.selection.rows, result.selection.missing) == (6, 5, 1)
    assert done == {3, 4, 25, "x", 3.5}
    (status,) = await commands.backfill_status(database, "place")
    assert status.selection == result.selection
    assert (status.total, status.remaining) == (5, 0)


async def test_a_run_by_ids_inside_the_server_rewrites_these_rows_only(database: Database) -> None:
    await database["places"].insert_many([stored(1, number) for number in range(50)])

    result = await commands.backfill(database, place_kind(), to=2, ids=list(range(0, 50, 5)))

    done = {row["_id"] async for row in database["places"].find({"schema_version": 2})}
    assert (result.server, result.client, result.complete) == (10, 0, True)
    assert done == set(range(0, 50, 5))


async def test_a_collection_with_a_collation_of_its_own_gives_the_very_rows(database: Database) -> None:
    await database.create_collection("places", collation={"locale": "en", "strength": 1})
    await database["places"].insert_many([{**stored(1), "_id": each} for each in ("a", "b", "c")])

    result = await commands.backfill(database, place_kind(), to=2, ids=["A", "b"])

    assert (result.complete, result.server) == (True, 1)
    assert await versions(database) == {1: 2, 2: 1}


async def test_rows_of_a_selection_that_cannot_be_upgraded_are_left_over(database: Database) -> None:
    rows = [stored(1, number) for number in range(6)]
    for number in (1, 2, 5):
        rows[number]["schema_version"] = "odd"
    await database["places"].insert_many(rows)

    result = await commands.backfill(database, place_kind(), ids=[0, 1, 2])

    aside = {record["row_id"] async for record in database["docstore_quarantine"].find()}
    assert (result.state, result.complete) == (RunState.SUCCEEDED, False)
    assert (result.remaining, result.quarantined) == (2, 2)
    assert aside == {1, 2}


async def test_a_run_over_many_ids_is_claimed_range_by_range(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docstore.mongo.old_rows.IDS_AT_ONCE", 10)
    await database["places"].insert_many([stored(1, number) for number in range(200)])

    result = await commands.backfill(database, place_kind(), ids=list(range(0, 200, 2)))

    batches = await database["docstore_batches"].count_documents({"task": "rows"})
    assert (result.complete, batches) == (True, 10)
    assert await versions(database) == {1: 100, place_kind().latest: 100}


async def test_a_sample_is_a_canary_of_so_many_old_rows(database: Database) -> None:
    latest = place_kind().latest
    await database["places"].insert_many([stored(1, number) for number in range(60)])
    await commands.backfill(database, place_kind(), ids=list(range(10)))

    result = await commands.backfill(database, place_kind(), sample=20)

    assert (result.complete, result.server + result.client) == (True, 20)
    assert result.selection is not None
    assert (result.selection.rows, result.selection.random) == (20, True)
    # Rows that are at the target already are not picked.
    assert await versions(database) == {1: 30, latest: 30}
    everything = await commands.backfill(database, place_kind())
    assert (everything.complete, everything.server + everything.client) == (True, 30)
    assert everything.selection is None


async def test_a_sample_of_more_rows_than_there_are_takes_them_all_and_of_none_is_done(database: Database) -> None:
    await database["places"].insert_many([stored(1, number) for number in range(3)])

    first = await commands.backfill(database, place_kind(), sample=10)
    second = await commands.backfill(database, place_kind(), sample=10)

    assert first.selection is not None
    assert second.selection is not None
    assert (first.complete, first.selection.rows) == (True, 3)
    assert (second.complete, second.selection.rows) == (True, 0)


async def test_a_sample_of_a_way_down_takes_rows_above(database: Database) -> None:
    def downgrade(row: dict[str, Any]) -> dict[str, Any]:
        if row["_id"] > 7:
            raise ValueError
        return drop_slug(row)

    first, second = place_kind().steps
    steps = [first, Step(upgrade=second.upgrade, downgrade=downgrade, to=3)]
    kind = Kind("place", collection="places", model=Place, steps=steps)
    await database["places"].insert_many([stored(3, number) for number in range(10)])
    await database["places"].update_many({"_id": {"$gt": 5}}, {"$set": {"slug": "its own"}})

    result = await commands.backfill(database, kind, to=2, sample=10)
    named = await commands.backfill(database, kind, to=2, ids=[1, 2, 3])

    kept = await database["places"].distinct("_id", {RESIDUE: {"$exists": True}})
    assert (result.state, result.client, result.remaining) == (RunState.SUCCEEDED, 8, 2)
    assert (len(await commands.quarantine_list(database, kind)), kept) == (2, [6, 7])
    assert (named.complete, named.client) == (True, 0)
    assert await versions(database) == {2: 8, 3: 2}


async def test_ids_that_name_no_row_are_refused_and_leave_nothing_behind(database: Database) -> None:
    await database["places"].insert_one(stored(1, 1))

    with pytest.raises(BackfillRefusedError, match="none of the 2 ids names a row"):
        await commands.backfill(database, place_kind(), ids=["1", "2"])

    assert await database["docstore_runs"].count_documents({}) == 0
    assert await database["docstore_selections"].count_documents({}) == 0


async def test_the_same_ids_go_on_with_the_open_run_and_others_are_refused(database: Database) -> None:
    await database["places"].insert_many([stored(1, number) for number in range(5)])
    await commands.backfill_start(database, place_kind(), ids=[1, 2], by="a test")

    for other in ({"ids": [1]}, {"sample": 2}, {}):
        with pytest.raises(BackfillRefusedError, match="a run over 2 chosen rows only is open"):
            await commands.backfill(database, place_kind(), **other)
    result = await commands.backfill(database, place_kind(), ids=[2, 1])

    assert (result.complete, result.server + result.client) == (True, 2)
    assert await database["docstore_runs"].count_documents({}) == 1
    assert await database["docstore_selections"].count_documents({}) == 2


async def test_ids_of_the_run_before_are_removed_with_its_batches(database: Database) -> None:
    await database["places"].insert_many([stored(1, number) for number in range(5)])
    await commands.backfill(database, place_kind(), ids=[1, 2])

    await commands.backfill(database, place_kind())

    assert await database["docstore_selections"].count_documents({}) == 0


async def test_ids_that_no_run_names_are_removed_after_a_while(database: Database) -> None:
    now = datetime.datetime.now(datetime.UTC)
    old, named, young = (
        Selection(database, ObjectId.from_datetime(now - datetime.timedelta(hours=hours))) for hours in (50, 40, 1)
    )
    for selection in (old, named, young):
        await selection.add([1, 2])
    await database["docstore_runs"].insert_one({"_id": "place-1", "kind": "place", "selection": {"id": named.id}})

    await forget_abandoned(database, older_than=now - datetime.timedelta(days=1))

    assert [await selection.size() for selection in (old, named, young)] == [0, 2, 2]


async def test_some_rows_on_the_mock_are_refused(mock_database: Any) -> None:
    with pytest.raises(BackfillRefusedError, match="on the mock"):
        await commands.backfill(mock_database, place_kind(), sample=1)


async def test_a_resumed_run_keeps_to_its_ids(database: Database) -> None:
    await database["places"].insert_many([stored(1, number) for number in range(9)])
    status = await commands.backfill_start(database, place_kind(), ids=[1, 2], by="a test")
    await database["docstore_runs"].update_one(
        {"_id": status.run}, {"$set": {"state": "failed"}, "$unset": {"open": ""}}
    )

    await commands.backfill_resume(database, "place", by="a test")
    await commands.work(database, [place_kind()], drain=True)

    assert await versions(database) == {1: 7, place_kind().latest: 2}


async def test_two_workers_share_the_rows_of_a_file(database: Database, processes: Processes) -> None:
    await database["counters"].insert_many(old_rows(800))
    lines = [json.dumps(number) for number in range(0, 800, 2)]
    (processes.folder / "ids.txt").write_text("\n".join([*lines, '"nobody"', ""]), encoding="utf-8")

    code, output, _ = await processes.run(
        "backfill", "start", "counter", "--ids-from", str(processes.folder / "ids.txt"), "--batch-seconds", "0.2"
    )
    workers = [processes.worker("--drain"), processes.worker("--drain")]
    codes = [await asyncio.to_thread(worker.wait, PATIENCE) for worker in workers]
    (status,) = await commands.backfill_status(database, "counter")

    assert (code, codes, status.state) == (0, [0, 0], RunState.SUCCEEDED)
    assert "only 400 rows picked by id (1 ids name no row)" in " ".join(output.split())
    done = [row async for row in database["counters"].find({"steps": 1}, {"schema_version": 1})]
    assert {row["_id"] for row in done} == set(range(0, 800, 2))
    assert {row["schema_version"] for row in done} == {2}
    owners = {batch["owner"] async for batch in database["docstore_batches"].find({"task": "rows"})}
    assert len(owners) <= 2


async def test_a_killed_worker_leaves_a_run_by_ids_to_the_next_one(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(800))
    await commands.backfill_start(database, counter, ids=list(range(400)), options=RunOptions(rate=100), by="a test")
    victim = processes.worker()
    await until(lambda: database["counters"].count_documents({"schema_version": 2}))
    victim.kill()
    await commands.backfill_set(database, "counter", LiveOption.RATE, None, seconds=None, by="a test")
    heir = processes.worker("--drain")

    assert await asyncio.to_thread(heir.wait, PATIENCE) == 0
    assert await versions(database, "counters") == {1: 400, 2: 400}
    assert await database["counters"].count_documents({"steps": {"$gt": 1}}) == 0


@pytest.mark.parametrize("index", [True, False])
async def test_random_rows_come_from_untagged_ones_too(database: Database, index: bool) -> None:  # noqa: FBT001 - a parameter
    if index:
        await database["places"].create_indexes([IndexModel([("schema_version", 1), ("_id", 1)])])
    rows = [stored(1, number) for number in range(10)]
    for row in rows:
        row.pop("schema_version")
    await database["places"].insert_many(rows)

    result = await commands.backfill(database, place_kind(), sample=4)

    assert (result.complete, result.server + result.client) == (True, 4)
