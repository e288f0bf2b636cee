"""
Rows with a residue are found by what they are at latest, not by the shape in which they are stored.
"""

import asyncio
import os
import random
from collections import Counter
from typing import Any, Final

import pytest
from bson.int64 import Int64

from docstore import Kind, Step, Store
from docstore import operations as ops
from docstore.core.bson_values import RawDocument, decode, encode, identical
from docstore.core.residue import RESIDUE
from docstore.core.stale_branch import Way
from docstore.core.view_pipeline import view_pipeline
from docstore.errors import DocumentError, QueryRefusedError, StaleQueryError, UpdateRefusedError
from docstore.mongo.residue_index import RESIDUE_INDEX, ResidueIndex
from docstore.store.collection import Collection
from docstore.store.query import Queries
from docstore.store.rows import RowReader
from tests.random_kinds import (
    Anything,
    random_filter,
    random_invertible_kind,
    random_latest_rows,
    random_sort,
    value,
)

ROUNDS: Final = 2
KINDS: Final = 20
QUERIES: Final = 10
ROWS: Final = 20


class Note(Anything):
    status: str = "new"


NOTE: Final = Kind(
    "note",
    collection="notes",
    model=Note,
    steps=[
        Step(ops.RenameField("text", "body"), to=2),
        Step(ops.AddField("status", "new"), ops.WrapInList("tag"), to=3),
    ],
)
#: The same as nodes of the release before know it.
OLD: Final = Kind("note", collection="notes", model=Note, steps=NOTE.steps[:1])


def note(row_id: int, version: int = 2, **fields: Any) -> RawDocument:
    return NOTE.lower({"_id": row_id, "schema_version": 3, **fields}, to=version)


async def stored(database: Any, rows: list[RawDocument], kind: Kind[Any] = NOTE) -> None:
    await ResidueIndex(database, kind).require()
    await database[kind.collection].insert_many(rows)


async def found(database: Any, filter: dict[str, Any], kind: Kind[Any] = NOTE, **options: Any) -> list[Any]:
    notes = Store(database, kinds=[kind], service="tests").collection(kind)
    return [one.id for one in await notes.find(filter, **{"sort": [("_id", 1)], **options}).to_list()]


async def test_a_filter_finds_what_is_kept_and_not_what_the_stored_shape_says(any_database: Any) -> None:
    rows = [note(1, status="sold", tag=["a", "b"]), note(2, status="new", tag=["a"]), note(3), note(4, 1, status="x")]
    await stored(any_database, rows)

    assert await found(any_database, {"status": "sold"}) == [1]
    assert await found(any_database, {"status": "new"}) == [2]
    assert await found(any_database, {"status": {"$exists": False}}) == [3]
    assert await found(any_database, {"tag": "b"}) == [1]
    assert await found(any_database, {}, sort=[("status", -1)]) == [4, 1, 2, 3]


async def test_what_a_node_of_the_older_version_changed_since_is_found(database: Any) -> None:
    await stored(database, [note(1, tag=["a", "b"]), note(2, tag=["a", "c"])])
    await database["notes"].update_one({"_id": 2}, {"$set": {"tag": "z"}})

    assert await found(database, {"tag": "a"}) == [1]
    assert await found(database, {"tag": "z"}) == [2]


async def test_filters_are_translated_as_long_as_no_row_has_a_residue(database: Any) -> None:
    queries = Queries(database, NOTE, RowReader(NOTE))
    await database["notes"].insert_many([note(1, status="new"), note(2, status="new")])

    async def way(filter: dict[str, Any]) -> Way | None:
        cursor = queries.find(filter)
        await cursor.to_list()
        return cursor.way

    before = await way({"status": "new"})
    await stored(database, [note(3, status="sold")])

    assert before is Way.TRANSLATED
    assert await way({"status": "new"}) is Way.UPGRADED
    assert await way({"body": "x"}) is Way.AS_STORED


async def test_a_look_in_the_users_transaction_sees_it_too(database: Any) -> None:
    await stored(database, [note(1, status="sold"), note(2, status="new")])
    notes = Store(database, kinds=[NOTE], service="tests").collection(NOTE)

    async with database.client.start_session() as session, await session.start_transaction():
        assert [one.id for one in await notes.find({"status": "sold"}, session=session).to_list()] == [1]
        assert await notes.count({"status": "new"}, session=session) == 1


async def test_an_index_that_somebody_dropped_costs_time_and_no_row(database: Any) -> None:
    queries = Queries(database, NOTE, RowReader(NOTE))
    await stored(database, [note(1, status="sold"), note(2, status="new")])
    assert await queries.count({"status": "sold"}) == 1

    await database["notes"].drop_index(RESIDUE_INDEX)

    assert await queries.count({"status": "sold"}) == 1


async def test_models_aggregations_and_other_nodes_do_not_see_the_field(database: Any) -> None:
    await stored(database, [note(1, status="sold", body="b"), note(2, status="new")])

    for kind in (NOTE, OLD):
        notes = Store(database, kinds=[kind], service="tests").collection(kind)
        one = await notes.get(1)
        assert RESIDUE not in one.model_dump()
        assert all(RESIDUE not in each.model_dump() for each in await notes.find().to_list())
        assert all(RESIDUE not in each for each in await (await notes.aggregate([{"$sort": {"_id": 1}}])).to_list())
        joined = [{"$lookup": {"from": "notes", "localField": "_id", "foreignField": "_id", "as": "own"}}]
        assert RESIDUE not in str(await (await notes.aggregate(joined)).to_list())
        grouped = [{"$group": {"_id": None, "all": {"$push": "$$ROOT"}}}]
        assert RESIDUE not in str(await (await notes.aggregate(grouped)).to_list())


async def test_a_view_shows_such_a_row_with_what_it_keeps_and_without_the_field(database: Any) -> None:
    await stored(
        database, [note(1, status="sold", body="b"), note(2, status="new", body="b"), note(3, 1, status="sold")]
    )

    newest = [row async for row in await database["notes"].aggregate([*view_pipeline(NOTE, 3), {"$sort": {"_id": 1}}])]
    older = [row async for row in await database["notes"].aggregate([*view_pipeline(NOTE, 2), {"$sort": {"_id": 1}}])]

    assert newest == [
        {"_id": 1, "schema_version": 3, "body": "b", "status": "sold"},
        {"_id": 2, "schema_version": 3, "body": "b", "status": "new"},
        {"_id": 3, "schema_version": 3, "status": "sold"},
    ]
    assert older[:2] == [{"_id": each, "schema_version": 2, "body": "b"} for each in (1, 2)]


async def test_nobody_asks_for_the_field_or_writes_it(database: Any) -> None:
    notes = Store(database, kinds=[NOTE], service="tests").collection(NOTE)

    with pytest.raises(QueryRefusedError, match="docstore's own"):
        notes.find({f"{RESIDUE}.2": {"$exists": True}})
    for operators in ({"$unset": {RESIDUE: ""}}, {"$set": {f"{RESIDUE}.3": 1}}, {"$rename": {"a": RESIDUE}}):
        with pytest.raises(UpdateRefusedError, match=RESIDUE):
            await notes.update({"_id": 1}, operators)
    with pytest.raises(UpdateRefusedError, match="docstore's own"):
        await notes.delete_many({RESIDUE: {"$exists": True}})


NAMING: Final[list[list[dict[str, Any]]]] = [
    [{"$project": {"kept": f"${RESIDUE}"}}],
    [{"$project": {"kept": {"$getField": RESIDUE}}}],
    [{"$group": {"_id": f"$$ROOT.{RESIDUE}.3"}}],
    [{"$match": {"status": "sold"}}, {"$sort": {RESIDUE: 1}}],
    [{"$lookup": {"from": "notes", "localField": "_id", "foreignField": RESIDUE, "as": "others"}}],
    [{"$unionWith": {"coll": "notes", "pipeline": [{"$project": {RESIDUE: 1}}]}}],
]


@pytest.mark.parametrize("pipeline", NAMING)
async def test_no_pipeline_names_the_field(any_database: Any, pipeline: list[dict[str, Any]]) -> None:
    notes = Store(any_database, kinds=[NOTE], service="tests").collection(NOTE)

    with pytest.raises(QueryRefusedError, match="docstore's own"):
        await notes.aggregate(pipeline)


async def test_numbers_that_the_server_calls_equal_are_unchanged_on_both_paths(database: Any) -> None:
    kind = Kind("note", collection="notes", model=Note, steps=[Step(ops.CopyField("n", "m"), to=2)])
    row = kind.lower({"_id": 1, "schema_version": 2, "n": 1, "m": 5}, to=1)
    await stored(database, [{**row, "n": Int64(1)}, {**row, "_id": 2, "n": 2}], kind)

    assert await found(database, {"m": 5}, kind) == [1]
    assert await found(database, {"m": 2}, kind) == [2]


def _stored_rows(rng: random.Random, kind: Kind[Anything]) -> list[RawDocument]:
    rows: list[RawDocument] = []
    for upper in random_latest_rows(rng, kind, ROWS):
        target = kind.latest if rng.random() < 0.2 else kind.latest - 1 if rng.random() < 0.7 else 1
        try:
            row = kind.lower(upper, to=target)
            if rng.random() < 0.2:
                # As a node of that version changes it.
                name = rng.choice(sorted(row.keys() - {"_id", "schema_version", RESIDUE}) or ["a"])
                row[name] = value(rng)
            kind.upgrade(row)
        except DocumentError:
            continue
        rows.append(decode(encode(row)))
    return rows


async def _answer(
    queries: Queries[Anything], ones: Collection[Anything], filter: Any, sort: Any, ways: Counter[Way]
) -> tuple[list[Any], int, list[RawDocument]] | None:
    cursor = queries.find(filter, sort=sort)
    try:
        ids = [one.id for one in await cursor.to_list()]
    except StaleQueryError as refusal:
        if "Python" not in refusal.reason and "nests" not in refusal.reason:
            raise
        return None
    ways[cursor.way or Way.REFUSED] += 1
    # Each row joined to itself: what is joined keeps as much beside its shape.
    own = {"from": "things", "localField": "_id", "foreignField": "_id", "as": "joined"}
    whole = await (await ones.aggregate([{"$match": filter}, {"$lookup": own}, {"$sort": {"_id": 1}}])).to_list()
    return (ids if sort else sorted(ids), await queries.count(filter), whole)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(ROUNDS))
async def test_random_queries_answer_as_after_a_full_rewrite(
    database: Any,
    number: int,
    thorough: bool,  # noqa: FBT001 - a fixture
) -> None:
    ways: Counter[Way] = Counter()
    with_residue = 0
    things = database["things"]
    for case in range(KINDS * (4 if thorough else 1)):
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} residue {number} {case}")
        kind = random_invertible_kind(rng, functions=0.0)
        rows = _stored_rows(rng, kind)
        if len(rows) < 4:
            continue
        with_residue += sum(RESIDUE in row for row in rows)
        await things.delete_many({})
        await stored(database, rows, kind)
        upgraded = [kind.upgrade(row) for row in rows]
        asked = [(random_filter(rng, kind, upgraded), random_sort(rng, kind, upgraded)) for _ in range(QUERIES)]
        queries = Queries(database, kind, RowReader(kind))
        ones = Store(database, kinds=[kind], service="tests").collection(kind)

        answers = await asyncio.gather(*(_answer(queries, ones, *each, ways) for each in asked))
        await things.delete_many({})
        await things.insert_many(upgraded)
        for (query, sort), got in zip(asked, answers, strict=True):
            if got is None:
                continue
            expected = [row async for row in things.find(query, sort=sort or [("_id", 1)])]
            assert got[:2] == ([row["_id"] for row in expected], len(expected)), (query, sort, kind.steps)
            for one, other in zip(got[2], sorted(expected, key=lambda row: row["_id"]), strict=True):
                for each in (*one.pop("joined"), one):
                    assert each.keys() == other.keys(), (query, kind.steps)
                    assert all(identical(each[name], other[name]) for name in each), (query, kind.steps)
    assert with_residue > KINDS
    assert ways[Way.UPGRADED] > KINDS
