"""
The records of runs, as the next release of docstore would write them: what it adds is left alone, and what it changes
is refused by name.
"""

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from bson.objectid import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from structlog.testing import capture_logs

from docstore import Kind, Step, commands
from docstore.backfill.operating import LiveOption
from docstore.core.batch_record import BatchState, Tally
from docstore.core.direction import Direction
from docstore.core.fingerprint import fingerprints
from docstore.core.id_range import IdRange
from docstore.core.record_format import BATCH, RUN
from docstore.core.record_format import HISTORY as HISTORY_FORMAT
from docstore.core.record_format import QUARANTINE as QUARANTINE_FORMAT
from docstore.core.record_format import SELECTION as SELECTION_FORMAT
from docstore.core.run_record import RunOptions, RunRecord
from docstore.core.run_state import RunState
from docstore.errors import RecordFormatError
from docstore.mongo.batches import Batches
from docstore.mongo.client_versions import AskedFor, ClientVersions
from docstore.mongo.quarantine import Quarantine, QuarantineRecord, count_quarantined
from docstore.mongo.run_history import RunHistory
from docstore.mongo.runs import Runs
from docstore.mongo.selections import Selection, forget_abandoned
from tests.kinds import Place, place_kind, stored

Database = AsyncDatabase[dict[str, Any]]
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
ADDED = {"of_the_next_release": {"a": 1}}
SELECTION = ObjectId("0" * 24)
FAILED = QuarantineRecord(1, 1, 3, Direction.UP, 2, "UpgradeFailedError", "it failed", None)


def broken(_: dict[str, Any]) -> dict[str, Any]:
    raise ValueError


def broken_kind() -> Kind[Any]:
    return Kind("place", collection="places", model=Place, steps=[Step(upgrade=broken, to=2)])


async def opened_run(database: Database, kind: str = "place") -> RunRecord:
    run = await Runs(database).enqueue(
        kind=kind, collection=f"{kind}s", target=3, options=RunOptions(), fingerprints={}, by="a test"
    )
    assert run is not None
    return run


async def put(database: Database, record: QuarantineRecord = FAILED) -> None:
    await Quarantine(database, "place").put([record], run=NOW, now=NOW)


async def everything(database: Database, collection: str) -> list[dict[str, Any]]:
    return [record async for record in database[collection].find(sort=[("_id", 1)])]


async def test_a_run_goes_its_way_with_what_the_next_release_adds_to_its_records(database: Database) -> None:
    kind = place_kind(latest=3)
    await database.places.insert_many([stored(1, row_id) for row_id in range(40)])
    await commands.backfill_start(database, kind, ids=list(range(30)), by="a test")
    for name in ("docstore_runs", "docstore_selections", "docstore_history"):
        await database[name].update_many({}, {"$set": ADDED})
    await database.docstore_runs.update_many({}, {"$set": {"options.of_the_next_release": 1}})

    await commands.backfill_set(database, "place", LiveOption.RATE, 1e6, seconds=None, by="a test")
    await commands.backfill_pause(database, "place", by="a test")
    await commands.work(database, [kind], drain=True)
    await commands.backfill_resume(database, "place", by="a test")
    await commands.work(database, [kind], drain=True)

    (status,) = await commands.backfill_status(database, "place")
    assert (status.state, status.server + status.client) == (RunState.SUCCEEDED, 30)
    (run,) = await everything(database, "docstore_runs")
    assert run["of_the_next_release"] == ADDED["of_the_next_release"]
    assert run["options"]["of_the_next_release"] == 1
    assert len([entry for entry in await everything(database, "docstore_history") if entry.keys() >= ADDED.keys()]) == 1


async def test_a_batch_is_worked_on_with_what_the_next_release_adds_to_it(database: Database) -> None:
    run = await opened_run(database)
    batches = Batches(database, owner="w1", lease=30.0)
    first = await batches.open_new(run, "rows", version=1, range=IdRange(), size=4)
    assert first is not None
    await batches.give_back(first)
    await database.docstore_batches.update_many({}, {"$set": ADDED})

    claimed = await batches.claim_waiting(run.id)
    assert claimed is not None
    assert await batches.following(run) is not None
    assert await batches.finish(claimed, BatchState.DONE, tally=Tally(server=4), seconds=1.0)

    (batch,) = await everything(database, "docstore_batches")
    assert (batch["state"], batch["token"]) == ("done", 2)
    assert batch.keys() >= ADDED.keys()


async def test_quarantine_keeps_what_the_next_release_adds(database: Database) -> None:
    await database.places.insert_one(stored(1, 1))
    await put(database)
    await database.docstore_quarantine.update_many({}, {"$set": ADDED})

    await Quarantine(database, "place").put([FAILED], run=NOW + datetime.timedelta(1), now=NOW)

    (record,) = await everything(database, "docstore_quarantine")
    assert (record["tries"], record["of_the_next_release"]) == (2, {"a": 1})
    (row,) = await commands.quarantine_list(database, place_kind())
    assert row.tries == 2


async def test_counts_of_older_versions_keep_what_the_next_release_adds(database: Database) -> None:
    records, asked = ClientVersions(database), AskedFor(1, "2026-01-01", 2, NOW)
    await records.add("place", asked)
    await database.docstore_history.update_many({}, {"$set": ADDED})

    await records.add("place", asked)

    assert [each.asks for each in await records.since("place", "2026-01-01")] == [4]
    (record,) = await everything(database, "docstore_history")
    assert record.keys() >= ADDED.keys()


async def test_records_without_fields_that_no_release_needs_any_more_are_still_read(database: Database) -> None:
    run = await opened_run(database)
    await database.docstore_runs.update_one({"_id": run.id}, {"$unset": {"options.validate": ""}})

    found = await Runs(database).get(run.id)

    assert found is not None
    assert found.options.validate is None


async def _count_open(database: Database) -> object:
    return await Batches(database, owner="w2", lease=30.0).count_open("place-1")


async def _following(database: Database) -> object:
    run = await Runs(database).get("place-1")
    assert run is not None
    return await Batches(database, owner="w2", lease=30.0).following(run)


Ask = Callable[[Database], Awaitable[object]]
RUNS: dict[str, Ask] = {
    "status": commands.backfill_status,
    "start": lambda database: commands.backfill_start(database, place_kind(), by="a test"),
    "pause": lambda database: commands.backfill_pause(database, "place", by="a test"),
    "newest history": lambda database: RunHistory(database).newest("place-1", limit=5),
}
BATCHES: dict[str, Ask] = {"count": _count_open, "following": _following}
QUARANTINE: dict[str, Ask] = {
    "put": put,
    "list": lambda database: commands.quarantine_list(database, place_kind()),
    "retry": lambda database: commands.quarantine_retry(database, place_kind()),
    "coverage": lambda database: commands.coverage(database, [place_kind()]),
    "settle": lambda database: Quarantine(database, "place").settle("places", "schema_version"),
    "count": lambda database: count_quarantined(database, "place", collection="places", field="schema_version"),
}
SELECTIONS: dict[str, Ask] = {"ids": lambda database: Selection(database, SELECTION).ids()}
HISTORY: dict[str, Ask] = {
    "since": lambda database: ClientVersions(database).since("place", "2026-01-01"),
    "add": lambda database: ClientVersions(database).add("place", AskedFor(1, "2026-01-01", 1, NOW)),
}
UNKNOWN = [
    pytest.param(f"docstore_{collection}", ask, id=f"{collection}-{name}")
    for collection, asks in (
        ("runs", RUNS),
        ("batches", BATCHES),
        ("quarantine", QUARANTINE),
        ("selections", SELECTIONS),
        ("history", HISTORY),
    )
    for name, ask in asks.items()
]


@pytest.mark.parametrize("found", [2, None])
@pytest.mark.parametrize(("collection", "ask"), UNKNOWN)
async def test_a_record_of_an_unknown_format_is_refused_by_name_and_left_as_it_is(
    database: Database, collection: str, ask: Ask, found: int | None
) -> None:
    await database.places.insert_one(stored(1, 1))
    run = await opened_run(database)
    batch = await Batches(database, owner="w1", lease=0.0).open_new(run, "rows", version=1, range=IdRange())
    assert batch is not None
    await put(database)
    await Selection(database, SELECTION).add([1])
    await ClientVersions(database).add("place", AskedFor(1, "2026-01-01", 1, NOW))
    await database[collection].update_many({}, {"$set": {"schema_version": found}})
    before = await everything(database, collection)

    with pytest.raises(RecordFormatError) as caught:
        await ask(database)

    assert (caught.value.found, caught.value.known) == (found, 1)
    assert await everything(database, collection) == before


async def test_a_batch_of_an_unknown_format_is_not_claimed(database: Database) -> None:
    run = await opened_run(database)
    await Batches(database, owner="w1", lease=0.0).open_new(run, "rows", version=1, range=IdRange())
    await database.docstore_batches.update_many({}, {"$set": {"schema_version": 2}})
    before = await everything(database, "docstore_batches")

    assert await Batches(database, owner="w2", lease=30.0).claim_waiting(run.id) is None

    assert await everything(database, "docstore_batches") == before


@pytest.fixture
def reads_two() -> Iterator[None]:
    """
    Have this release read the next format, and go on writing its own: the first of the two that change a format.
    """
    formats = (RUN, BATCH, SELECTION_FORMAT, QUARANTINE_FORMAT, HISTORY_FORMAT)
    for each in formats:
        object.__setattr__(each, "read", frozenset({1, 2}))
    yield
    for each in formats:
        object.__setattr__(each, "read", frozenset({1}))


@pytest.mark.usefixtures("reads_two")
async def test_a_release_that_reads_two_formats_works_on_the_records_of_both(database: Database) -> None:
    kind = place_kind(latest=3)
    await database.places.insert_many(
        [*(stored(1, row_id) for row_id in range(9)), {**stored(1, 9), "tags": "no list"}]
    )
    await commands.backfill_start(database, kind, ids=list(range(10)), by="a test")
    await put(database, replace(FAILED, row_id=9))
    for name in ("runs", "selections", "quarantine", "history"):
        await database[f"docstore_{name}"].update_many({}, {"$set": {"schema_version": 2}})

    await commands.work(database, [kind], drain=True)

    (status,) = await commands.backfill_status(database, "place")
    assert (status.state, status.quarantined) == (RunState.SUCCEEDED, 1)
    assert [run["schema_version"] for run in await everything(database, "docstore_runs")] == [2]
    assert {batch["schema_version"] for batch in await everything(database, "docstore_batches")} == {1}
    (record,) = await everything(database, "docstore_quarantine")
    assert (record["schema_version"], record["tries"]) == (2, 2)


async def test_ids_of_an_unknown_format_are_nobodys_to_forget(database: Database) -> None:
    await Selection(database, SELECTION).add([1])
    await database.docstore_selections.update_many({}, {"$set": {"schema_version": 2}})

    await forget_abandoned(database, older_than=NOW)

    assert len(await everything(database, "docstore_selections")) == 1


async def test_a_worker_leaves_a_run_of_an_unknown_format_and_goes_on_with_the_others(database: Database) -> None:
    place, other = place_kind(latest=3), Kind("other", collection="others", model=Place, steps=place_kind().steps)
    await database.places.insert_one(stored(1, 1))
    await database.others.insert_one(stored(1, 1))
    await commands.backfill_start(database, place, by="a test")
    await commands.backfill_start(database, other, by="a test")
    await database.docstore_runs.update_one({"_id": "place-1"}, {"$set": {"schema_version": 2}})
    before = await database.docstore_runs.find_one({"_id": "place-1"})

    with capture_logs() as logs:
        await commands.work(database, [place, other], drain=True)

    refusals = [log for log in logs if log["event"] == "run_not_joined"]
    assert [(log["kind"], log["log_level"]) for log in refusals] == [("place", "warning")]
    assert "run place-1 has format 2" in refusals[0]["reason"]
    assert await database.docstore_runs.find_one({"_id": "place-1"}) == before
    run = await database.docstore_runs.find_one({"_id": "other-1"})
    assert run is not None
    assert run["state"] == RunState.SUCCEEDED


async def test_a_worker_that_meets_quarantine_of_an_unknown_format_says_so_and_fails_no_run(
    database: Database,
) -> None:
    kind, stop = broken_kind(), asyncio.Event()
    await database.places.insert_one(stored(1, 1))
    await put(database)
    await database.docstore_quarantine.update_many({}, {"$set": {"schema_version": 2}})
    await opened_with(database, kind)
    working = asyncio.create_task(commands.work(database, [kind], stop=stop))

    async def told() -> str:
        run = await database.docstore_runs.find_one({"_id": "place-1"})
        return "".join(worker["note"] for worker in (run or {}).get("workers", ()))

    while "RecordFormatError" not in (note := await told()):
        assert not working.done()
        await asyncio.sleep(0.05)
    stop.set()
    await working

    assert "of a row of place in quarantine has format 2" in note
    run = await database.docstore_runs.find_one({"_id": "place-1"})
    assert run is not None
    assert run["state"] in {RunState.ENQUEUED, RunState.RUNNING}


async def opened_with(database: Database, kind: Kind[Any]) -> None:
    opened = await Runs(database).enqueue(
        kind=kind.name,
        collection=kind.collection,
        target=2,
        options=RunOptions(),
        fingerprints=fingerprints(kind, 2),
        by="a test",
    )
    assert opened is not None
