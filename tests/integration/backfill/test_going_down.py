"""
Runs that bring rows down: to what they were made of, only without loss, and nothing else.
"""

import asyncio
import random
from typing import Any

import pytest
from bson.int64 import Int64
from pymongo import MongoClient
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step, commands
from docstore import operations as ops
from docstore.backfill.progress import BackfillProgress
from docstore.core.bson_values import CODEC, RawDocument, encode
from docstore.core.direction import Direction
from docstore.core.residue import RESIDUE
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from docstore.demo.cities import read_places
from docstore.errors import BackfillRefusedError
from docstore.mongo.residue_index import RESIDUE_INDEX
from tests.integration.backfill.conftest import Counter, count_up
from tests.kinds import Place, drop_slug, place_kind, stored
from upgraders.city import city

Database = AsyncDatabase[dict[str, Any]]

ON_SERVER, IN_PYTHON = RunOptions(), RunOptions(validate="all")


class Anything(Document):
    """
    A model that takes every row.
    """


def added() -> Kind[Anything]:
    """
    Version 2 adds a status, which version 1 has no place for.
    """
    return Kind("note", collection="notes", model=Anything, steps=[Step(ops.AddField("status", "new"), to=2)])


def note(row_id: Any, version: int = 2, **fields: Any) -> RawDocument:
    return {"_id": row_id, "schema_version": version, **fields}


async def as_bytes(database: Database, collection: str) -> dict[bytes, bytes]:
    rows = database.get_collection(collection, codec_options=CODEC)
    return {encode({"": row["_id"]}): encode(row) async for row in rows.find()}


@pytest.fixture(scope="module")
def places() -> list[RawDocument]:
    """
    Real places at version 1, taken from all over the world.
    """
    return [{**place, "schema_version": 1} for place in read_places()[::300]]


@pytest.mark.parametrize(
    ("options", "top", "bottom", "server"),
    [
        (ON_SERVER, 4, 1, True),
        pytest.param(IN_PYTHON, 4, 1, False, marks=pytest.mark.long),
        pytest.param(ON_SERVER, 6, 4, False, marks=pytest.mark.long),
        (ON_SERVER, 6, 1, False),
    ],
    ids=["4 to 1 on the server", "4 to 1 in Python", "6 to 4", "6 to 1"],
)
async def test_real_rows_that_go_down_and_up_again_are_the_same_bytes(
    database: Database, places: list[RawDocument], options: RunOptions, top: int, bottom: int, *, server: bool
) -> None:
    await database["cities"].insert_many(places)
    await commands.backfill(database, city, to=top, options=options)
    before = await as_bytes(database, "cities")

    down = await commands.backfill(database, city, to=bottom, options=options)
    tags = await database["cities"].distinct("schema_version")
    up = await commands.backfill(database, city, to=top, options=options)

    assert (down.direction, down.complete, down.quarantined) == (Direction.DOWN, True, 0)
    assert (down.server, down.client) == ((len(places), 0) if server else (0, len(places)))
    assert tags == [bottom]
    assert (up.direction, up.complete) == (Direction.UP, True)
    assert await as_bytes(database, "cities") == before


async def test_real_rows_are_at_the_bottom_what_they_were_made_of(
    database: Database, places: list[RawDocument]
) -> None:
    await database["cities"].insert_many(places)
    await commands.backfill(database, city, to=4)

    await commands.backfill(database, city, to=1)

    assert {row["_id"]: row async for row in database["cities"].find()} == {row["_id"]: row for row in places}


@pytest.mark.parametrize("options", [ON_SERVER, IN_PYTHON], ids=["on the server", "in Python"])
async def test_a_row_that_would_lose_something_keeps_it_and_has_it_again_at_the_top(
    database: Database, options: RunOptions
) -> None:
    odd = [note(1, status="secret"), note(2, status=None), note(3, status=["new"]), note(4)]
    await database["notes"].insert_many([*odd, note(5, status="new")])
    before = await as_bytes(database, "notes")

    down = await commands.backfill(database, added(), to=1, options=options)
    rows = await database["notes"].find(sort=[("_id", 1)]).to_list()
    up = await commands.backfill(database, added(), options=options)

    assert (down.state, down.complete, down.quarantined) == (RunState.SUCCEEDED, True, 0)
    assert [row["schema_version"] for row in rows] == [1] * 5
    assert ["status" in row for row in rows] == [False] * 5
    assert [RESIDUE in row for row in rows] == [True] * 4 + [False]
    assert RESIDUE_INDEX in await database["notes"].index_information()
    assert (up.complete, up.server) == (True, 1 if options is ON_SERVER else 0)
    assert await as_bytes(database, "notes") == before


@pytest.mark.parametrize("options", [ON_SERVER, IN_PYTHON], ids=["on the server", "in Python"])
async def test_a_row_that_no_older_version_can_have_stays_as_it_is_and_is_put_aside(
    database: Database, options: RunOptions
) -> None:
    kind = Kind("note", collection="notes", model=Anything, steps=[Step(ops.MapValues("s", {1: "new"}), to=2)])
    await database["notes"].insert_many([note(1, s="secret"), note(2, s="new"), note(3)])

    result = await commands.backfill(database, kind, to=1, options=options)

    assert (result.state, result.complete) == (RunState.SUCCEEDED, False)
    assert (result.quarantined, result.remaining) == (1, 1)
    assert await database["notes"].find(sort=[("_id", 1)]).to_list() == [
        note(1, s="secret"),
        note(2, 1, s=1),
        note(3, 1),
    ]
    for aside in await commands.quarantine_list(database, kind):
        assert (aside.version, aside.target, aside.step, aside.path) == (2, 1, 2, "s")
        assert (aside.error, aside.reason) == ("NotExpressibleError", "version 1 has no place for what is there")


async def test_the_type_of_a_number_is_not_lost_where_the_server_calls_the_values_equal(database: Database) -> None:
    kind = Kind("note", collection="notes", model=Anything, steps=[Step(ops.AddField("n", {"m": [0.0]}), to=2)])
    odd = [note(1, n={"m": [-0.0]}), note(2, n={"m": [0]}), note(3, n={"m": [Int64(0)]})]
    await database["notes"].insert_many([*odd, note(4, n={"m": [0.0]})])
    before = await as_bytes(database, "notes")

    result = await commands.backfill(database, kind, to=1)
    await commands.backfill(database, kind)

    assert (result.server, result.client, result.quarantined) == (1, 3, 0)
    assert await as_bytes(database, "notes") == before


async def test_what_a_function_would_trim_is_kept(database: Database) -> None:
    await database["places"].insert_many([stored(3, 1), stored(3, 2, slug="by hand"), stored(2, 3)])

    result = await commands.backfill(database, place_kind(), to=1)
    row = await database["places"].find_one({"_id": 2})

    assert (result.server, result.client, result.remaining) == (1, 2, 0)
    assert row == stored(1, 2) | {RESIDUE: {"3": {"fields": {"slug": {"was": "oslo", "is": "by hand"}}}}}
    assert place_kind().upgrade(row) == stored(3, 2, slug="by hand")
    assert await database["places"].find_one({"_id": 1}) == stored(1, 1)


async def test_a_step_without_a_way_back_is_refused_before_anything_is_touched(database: Database) -> None:
    kind = Kind("note", collection="notes", model=Anything, steps=[Step(ops.RemoveField("draft"), to=2)])
    await database["notes"].insert_one(note(1))

    for call in (commands.backfill(database, kind, to=1), commands.backfill_start(database, kind, to=1, by="a test")):
        with pytest.raises(BackfillRefusedError, match="step 2 has no way back"):
            await call

    # The commands were nodes for as long as they ran; no run was made of them.
    collections = {*await database.list_collection_names()}
    assert [name for name in collections if not name.startswith("docstore_")] == ["notes"]
    assert collections.isdisjoint({"docstore_runs", "docstore_batches", "docstore_quarantine"})
    assert [*await database["notes"].index_information()] == ["_id_"]
    assert await database["notes"].find().to_list() == [note(1)]


async def test_rows_on_both_sides_are_refused_until_somebody_says_which(database: Database) -> None:
    await database["places"].insert_many([stored(1, 1), stored(3, 2), stored(3, 3)])

    with pytest.raises(BackfillRefusedError, match="1 row stands below version 2 and 2 rows stand above it"):
        await commands.backfill(database, place_kind(), to=2)
    assert [row["schema_version"] async for row in database["places"].find()] == [1, 3, 3]

    down = await commands.backfill(database, place_kind(), to=2, direction=Direction.DOWN)
    assert (down.client, down.complete) == (2, True)
    assert [row["schema_version"] async for row in database["places"].find()] == [1, 2, 2]
    up = await commands.backfill(database, place_kind(), to=2)
    assert (up.direction, up.server, up.complete) == (Direction.UP, 1, True)


async def test_rows_above_latest_are_left_alone_and_counted(database: Database) -> None:
    newer = {"_id": 1, "schema_version": 9, "name": "Rome", "slug": "rome"}
    await database["places"].insert_many([newer, stored(3, 2)])

    result = await commands.backfill(database, place_kind(), to=2)
    (status,) = await commands.backfill_status(database, "place")

    assert (result.state, result.complete) == (RunState.SUCCEEDED, False)
    assert (result.client, result.remaining, result.newer) == (1, 0, 1)
    assert (status.direction, status.newer) == (Direction.DOWN, 1)
    assert status.reason == ("all rows are there but 1 row that stands above version 3, which this code does not know")
    assert await database["places"].find_one({"_id": 1}) == newer


async def test_rows_above_latest_are_counted_where_nothing_else_is_left_to_do(database: Database) -> None:
    await database["places"].insert_many([stored(3, 1) | {"schema_version": 9}, stored(2, 2)])

    result = await commands.backfill(database, place_kind(), to=2, direction=Direction.DOWN)

    assert (result.state, result.newer, result.passes, result.complete) == (RunState.SUCCEEDED, 1, 0, False)


async def test_untagged_rows_go_down_from_where_detect_puts_them(database: Database) -> None:
    plain = place_kind()
    kind = Kind(
        "place", collection="places", model=Place, steps=plain.steps, detect=lambda row: 3 if "slug" in row else 1
    )
    rows = [{"_id": 1, "name": "Rome", "slug": "rome"}, {"_id": 2, "title": "Oslo"}]
    await database["places"].insert_many([*rows, stored(3, 3)])

    result = await commands.backfill(database, kind, to=2)

    assert (result.direction, result.client, result.complete) == (Direction.DOWN, 2, True)
    assert await database["places"].find().to_list() == [
        {"_id": 1, "name": "Rome", "schema_version": 2},
        rows[1],
        stored(2, 3),
    ]


@pytest.mark.parametrize("place", ["server", "mock"])
async def test_untagged_rows_that_detect_puts_above_latest_are_left_alone_and_counted(
    database: Database, mock_database: Any, place: str
) -> None:
    database, plain = {"server": database, "mock": mock_database}[place], place_kind()
    kind = Kind("place", collection="places", model=Place, steps=plain.steps, detect=lambda row: row.get("at", 1))
    newer = [{"_id": 1, "name": "Rome", "at": 9}, {"_id": 2, "name": "Oslo", "at": 4}]
    await database["places"].insert_many([*newer, {"_id": 3, "title": "Bern"}, stored(3, 4)])

    result = await commands.backfill(database, kind, to=2)

    assert (result.state, result.complete) == (RunState.SUCCEEDED, False)
    assert (result.client, result.remaining, result.newer) == (1, 0, 2)
    assert result.reason == "all rows are there but 2 rows that stand above version 3, which this code does not know"
    assert await database["places"].find({"at": {"$exists": True}}, sort=[("_id", 1)]).to_list(None) == newer


async def test_a_tag_that_is_no_version_keeps_a_way_down_from_being_complete(database: Database) -> None:
    await database["places"].insert_many([stored(3, 1), stored(3, 2) | {"schema_version": "3"}])

    result = await commands.backfill(database, place_kind(), to=2)

    assert (result.client, result.remaining, result.quarantined) == (1, 1, 1)
    assert (await commands.quarantine_list(database, place_kind()))[0].error == "UnknownVersionError"


async def test_an_open_run_down_is_joined_by_the_same_command_and_not_by_one_that_goes_up(database: Database) -> None:
    kind = place_kind()
    await database["places"].insert_many([stored(3, 1), stored(3, 2)])
    first = await commands.backfill_start(database, kind, to=2, by="a test")

    again = await commands.backfill_start(database, kind, to=2, by="a test")
    with pytest.raises(BackfillRefusedError, match="a run down to version 2 is open"):
        await commands.backfill_start(database, kind, to=2, direction=Direction.UP, by="a test")
    with pytest.raises(BackfillRefusedError, match="a run down to version 2 is open"):
        await commands.backfill(database, kind)
    with pytest.raises(BackfillRefusedError, match="a run down to version 2 is open"):
        await commands.adopt(database, kind)
    # Rows on both sides are what a run at work leaves, and so are rows on neither.
    await database["places"].insert_one(stored(1, 3))
    both = await commands.backfill_start(database, kind, to=2, by="a test")
    await database["places"].delete_many({})
    neither = await commands.backfill(database, kind, to=2)

    assert first.run == again.run == both.run
    assert (neither.direction, neither.state) == (Direction.DOWN, RunState.SUCCEEDED)


async def test_a_worker_with_another_downgrader_takes_no_part(database: Database) -> None:
    def forget_slug(row: RawDocument) -> RawDocument:
        del row["slug"]
        return row

    steps = place_kind().steps
    other = Kind(
        "place",
        collection="places",
        model=Place,
        steps=[steps[0], Step(upgrade=steps[1].upgrade, downgrade=forget_slug, writes=["slug"], to=3)],
    )
    await database["places"].insert_one(stored(3, 1))
    await commands.backfill_start(database, place_kind(), to=2, by="a test")

    await commands.work(database, [other], drain=True, throttled=False)
    (refused,) = await commands.backfill_status(database, "place")
    await commands.work(database, [place_kind()], drain=True, throttled=False)
    (status,) = await commands.backfill_status(database, "place")

    assert refused.state is RunState.ENQUEUED
    assert [worker.note for worker in refused.workers] == ["its code differs from that of the run: step 3"]
    assert (status.state, status.client, status.remaining) == (RunState.SUCCEEDED, 1, 0)


def count_down(row: RawDocument) -> RawDocument:
    row["steps"] -= 1
    return row


def counters(*, on_server: bool) -> Kind[Counter]:
    """
    Three versions that go up and down, by operations or by functions.
    """
    if not on_server:
        steps = [Step(upgrade=count_up, downgrade=count_down, to=to) for to in (2, 3)]
    else:
        steps = [Step(ops.RenameField("first", "second"), to=2), Step(ops.AddField("added", 1), to=3)]
    return Kind("counter", collection="counters", model=Counter, steps=steps)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("on_server", [True, False], ids=["on the server", "in Python"])
async def test_no_increment_of_another_writer_is_lost_on_the_way_down(database: Database, *, on_server: bool) -> None:
    kind, rows, done = counters(on_server=on_server), 60, asyncio.Event()
    top = {"second": 1, "added": 1} if on_server else {}
    await database["counters"].insert_many(
        [{"_id": each, "schema_version": 3, "steps": 2, "visits": 0, **top} for each in range(rows)]
    )

    async def increment(seed: int) -> int:
        rng, count = random.Random(seed), 0
        while not done.is_set() or count < 50:
            result = await database["counters"].update_one({"_id": rng.randrange(rows)}, {"$inc": {"visits": 1}})
            count += result.modified_count
        return count

    writers = [asyncio.create_task(increment(seed)) for seed in range(4)]
    result = await commands.backfill(database, kind, to=1)
    done.set()
    expected = sum(await asyncio.gather(*writers))

    found = await database["counters"].find().to_list()
    assert result.complete
    assert sum(row["visits"] for row in found) == expected
    assert {(row["schema_version"], row["steps"]) for row in found} == {(1, 2 if on_server else 0)}
    if on_server:
        assert {tuple(sorted(row)) for row in found} == {("_id", "first", "schema_version", "steps", "visits")}


async def test_newer_rows_that_keep_coming_hold_the_run_and_are_named(
    database: Database, mongod_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docstore.backfill.concluding.FINAL_PASSES", 1)
    await database["places"].insert_one(stored(3, 0))
    passes = iter(range(1, 100))

    with MongoClient[dict[str, Any]](mongod_uri) as client:

        def write(progress: BackfillProgress) -> None:
            if progress.phase == "count":
                client[database.name]["places"].insert_one(stored(3, next(passes)))

        held = await commands.backfill(database, place_kind(), to=2, on_progress=write)
    (status,) = await commands.backfill_status(database, "place")
    ended = await commands.backfill(database, place_kind(), to=2)

    assert held.state is RunState.RUNNING
    assert status.hold is not None
    assert status.hold.reason == "new_writers"
    assert "still stand above version 2" in status.hold.detail
    assert (ended.state, ended.complete) == (RunState.SUCCEEDED, True)


async def test_rows_that_come_above_a_step_without_a_way_back_fail_the_run_by_name(
    database: Database, mongod_uri: str
) -> None:
    kind = Kind(
        "note",
        collection="notes",
        model=Anything,
        steps=[Step(ops.AddField("status", "new"), to=2), Step(ops.RemoveField("draft"), to=3)],
    )
    await database["notes"].insert_one(note(1, status="new"))
    late = iter([note(2, 3, status="new")])

    with MongoClient[dict[str, Any]](mongod_uri) as client:

        def write(progress: BackfillProgress) -> None:
            for row in late if progress.server else ():
                client[database.name]["notes"].insert_one(row)

        result = await commands.backfill(database, kind, to=1, on_progress=write)

    assert (result.state, result.server, result.remaining) == (RunState.FAILED, 1, 1)
    assert result.reason == "rows would go down from version 3 to 1, and step 3 has no way back"
    assert await database["notes"].find_one({"_id": 2}) == note(2, 3, status="new")


async def test_a_run_that_rows_came_in_the_way_of_fails_before_it_begins(database: Database) -> None:
    kind = Kind(
        "note",
        collection="notes",
        model=Anything,
        steps=[Step(ops.AddField("status", "new"), to=2), Step(ops.RemoveField("draft"), to=3)],
    )
    await database["notes"].insert_one(note(1, status="new"))
    await commands.backfill_start(database, kind, to=1, by="a test")
    await database["notes"].insert_one(note(2, 3))

    await commands.work(database, [kind], drain=True, throttled=False)

    (status,) = await commands.backfill_status(database, "note")
    assert (status.state, status.batches_done) == (RunState.FAILED, 0)
    assert "step 3 has no way back" in status.reason


async def test_a_row_goes_down_when_its_downgrader_was_mended(database: Database) -> None:
    def kind(downgrade: Any) -> Kind[Place]:
        steps = place_kind().steps
        return Kind(
            "place",
            collection="places",
            model=Place,
            steps=[steps[0], Step(upgrade=steps[1].upgrade, downgrade=downgrade, to=3)],
        )

    await database["places"].insert_one(stored(3, 1))
    failed = await commands.backfill(database, kind(lambda row: row["nothing"]), to=2)
    (aside,) = await commands.quarantine_list(database, kind(lambda row: row["nothing"]))

    retried = await commands.quarantine_retry(database, kind(drop_slug))

    assert (failed.quarantined, aside.error, aside.step) == (1, "DowngradeFailedError", 3)
    assert (retried.tried, retried.succeeded, retried.failed) == (1, 1, 0)
    assert await database["places"].find().to_list() == [stored(2, 1)]
    assert await commands.quarantine_list(database, kind(drop_slug)) == []


async def test_a_row_that_failed_on_the_way_up_drops_out_of_quarantine_when_it_goes_down(database: Database) -> None:
    await database["places"].insert_one({"_id": 1, "schema_version": 2, "name": 5})
    up = await commands.backfill(database, place_kind())
    down = await commands.backfill(database, place_kind(), to=1)

    assert (up.quarantined, up.remaining) == (1, 1)
    assert (down.server, down.complete) == (1, True)
    assert await commands.quarantine_list(database, place_kind()) == []


async def test_a_dry_run_says_what_would_go_down_and_what_would_be_lost(database: Database) -> None:
    kind = Kind("note", collection="notes", model=Anything, steps=[Step(ops.MapValues("s", {1: "new"}), to=2)])
    await database["notes"].insert_many([note(1, s="new"), note(2, s="old"), note(3, 1)])

    result = await commands.backfill_dry_run(database, kind, to=1, sample=10)

    assert (result.direction, result.would_change, result.would_fail, result.untouched) == (Direction.DOWN, 1, 1, 1)
    assert (result.by_server, result.differing) == (1, 0)
    (failure,) = result.failures
    assert (failure.id, failure.error, failure.path) == (2, "NotExpressibleError", "s")
    assert [(change.path, change.change) for change in result.changes if change.path == "s"] == [("s", "changed")]
    assert await database.list_collection_names() == ["notes"]


async def test_rows_go_down_on_the_mock(mock_database: Any) -> None:
    await mock_database.places.insert_many([stored(3, 1), stored(3, 2, slug="by hand"), stored(2, 3)])

    result = await commands.backfill(mock_database, place_kind(), to=1)

    assert (result.direction, result.client, result.remaining) == (Direction.DOWN, 3, 0)
    assert await mock_database.places.find_one({"_id": 1}) == stored(1, 1)
    assert place_kind().upgrade(await mock_database.places.find_one({"_id": 2})) == stored(3, 2, slug="by hand")
