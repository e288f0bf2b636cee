"""
Updates of rows that are stored below latest, which take no transaction where they can be said of these rows.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from docstore import Kind, Step
from docstore import operations as ops
from docstore.core.residue import RESIDUE
from docstore.errors import DocumentExistsError, UpdateRefusedError, WriteVersionUnwritableError
from docstore.mongo.server_writing import ServerRowWriter
from docstore.store.collection import Collection
from tests.pinned import pinned
from tests.random_kinds import Anything


def _slug(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "slug": row.get("name", "")}


STEPS: Final = (
    Step(ops.RenameField("title", "name"), to=2),
    Step(ops.RenameField("zip", "code"), ops.AddField("status", "new"), to=3),
)
NOTE: Final = Kind("note", collection="notes", model=Anything, steps=STEPS)
#: A function below the write version is of no concern to rows that stand above it.
DERIVED: Final = Kind(
    "note", collection="notes", model=Anything, steps=[Step(upgrade=_slug, downgrade=dict, to=2), STEPS[1]]
)


class Straight(ServerRowWriter):
    """
    Counts transactions.
    """

    transactions = 0

    async def in_transaction(self, work: Any, *, session: Any) -> Any:
        self.transactions += 1
        return await super().in_transaction(work, session=session)


def counted(database: Any, kind: Kind[Anything], version: int) -> tuple[Collection[Anything], Straight]:
    notes, writer = pinned(database, kind, version), Straight(database, kind.collection)
    below = notes._updates._below
    below._writer = below._at_latest._writer = writer
    return notes, writer


async def stored(database: Any) -> dict[Any, dict[str, Any]]:
    return {row["_id"]: {**row} async for row in database["notes"].find(sort=[("_id", 1)])}


ROWS: Final = (
    {"_id": 1, "title": "a", "zip": 1},
    {"_id": 2, "schema_version": 2, "name": "a", "zip": 1},
    {"_id": 3, "schema_version": 3, "name": "a", "code": 1, "status": "b"},
)


async def test_each_stored_version_gets_the_update_in_its_own_shape(database: Any) -> None:
    await database["notes"].insert_many([dict(row) for row in ROWS])
    notes, writer = counted(database, NOTE, 2)

    result = await notes.update_many({"name": "a"}, {"$inc": {"code": 1}, "$set": {"name": "b"}})

    assert (result.matched, result.modified, writer.transactions) == (3, 3, 0)
    assert await stored(database) == {
        1: {"_id": 1, "title": "b", "zip": 2},
        2: {"_id": 2, "schema_version": 2, "name": "b", "zip": 2},
        3: {"_id": 3, "schema_version": 3, "name": "b", "code": 2, "status": "b"},
    }


async def test_one_update_finds_a_row_of_any_version(database: Any) -> None:
    await database["notes"].insert_many([dict(row) for row in ROWS])
    notes, writer = counted(database, NOTE, 2)

    for row_id in (1, 2, 3):
        before = await notes.find_one_and_update({"_id": row_id, "code": 1}, {"$inc": {"code": 1}})
        after = await notes.find_one_and_update({"_id": row_id}, {"$unset": {"code": ""}}, return_document="after")
        upserted = await notes.upsert({"_id": row_id}, {"$set": {"code": 9}, "$setOnInsert": {"status": "x"}})
        assert before is not None
        assert after is not None
        assert (before.code, after.model_dump().get("code"), upserted.matched) == (1, None, 1)
    first = await notes.find_one_and_update({}, {"$set": {"code": 5}}, sort=[("code", 1), ("_id", -1)])

    assert first is not None
    assert (first.id, first.code, writer.transactions) == (3, 9, 0)
    versions = {row_id: row.get("schema_version") for row_id, row in (await stored(database)).items()}
    assert versions == {1: None, 2: 2, 3: 3}


async def test_rows_that_keep_something_where_the_update_is_about_it_take_a_transaction(database: Any) -> None:
    notes, writer = counted(database, NOTE, 2)
    await database["notes"].insert_many(
        [
            {"_id": 1, "schema_version": 2, "name": "a", "zip": 1, RESIDUE: {"3": {"fields": {"code": {"is": 7}}}}},
            {
                "_id": 2,
                "schema_version": 2,
                "zip": 1,
                RESIDUE: {"3": {"fields": {"status": {"was": "new", "is": "b"}}}},
            },
            {"_id": 3, "schema_version": 2, "code": 1},
        ]
    )

    await notes.update({"_id": 2}, {"$inc": {"code": 1}})
    straight = writer.transactions
    await notes.update({"_id": 3}, {"$inc": {"code": 1}})

    assert (straight, writer.transactions) == (0, 1)
    assert ((await notes.get(2)).code, (await notes.get(2)).status, (await notes.get(3)).code) == (2, "b", 2)


async def test_a_function_below_the_version_of_a_row_is_of_no_concern(database: Any) -> None:
    notes, writer = counted(database, DERIVED, 2)
    await database["notes"].insert_many(
        [{"_id": 1, "schema_version": 2, "zip": 1, "n": 1}, {"_id": 2, "zip": 1, "n": 1}]
    )

    await notes.update({"_id": 1}, {"$inc": {"n": 1, "code": 1}})
    straight = writer.transactions
    await notes.update({"_id": 2}, {"$inc": {"n": 1, "code": 1}})

    assert (straight, writer.transactions) == (0, 1)
    for row_id in (1, 2):
        assert ((await notes.get(row_id)).n, (await notes.get(row_id)).code) == (2, 2)


async def test_what_the_way_back_reads_is_brought_down_with_it(database: Any) -> None:
    step = Step(ops.RemoveField("old", restore=ops.CopyField("names", "old")), to=2)
    notes, writer = counted(database, Kind("note", collection="notes", model=Anything, steps=[step]), 1)
    await database["notes"].insert_one({"_id": 1, "schema_version": 1, "names": ["a"], "old": ["a"]})

    await notes.update({"_id": 1}, {"$push": {"names": "b"}})

    assert writer.transactions == 1
    assert (await stored(database))[1] == {"_id": 1, "schema_version": 1, "names": ["a", "b"], "old": ["a", "b"]}


async def test_array_filters_and_positions_go_with_the_field(database: Any) -> None:
    steps = [Step(ops.RenameField("l", "items"), to=2)]
    notes, writer = counted(database, Kind("note", collection="notes", model=Anything, steps=steps), 1)
    await database["notes"].insert_one({"_id": 1, "l": [{"k": 1, "n": 0}, {"k": 2, "n": 0}]})

    await notes.update({"_id": 1}, {"$inc": {"items.$[x].n": 1}}, array_filters=[{"x.k": 2}])
    await notes.update({"items.k": 2}, {"$set": {"items.$.found": True}})
    await notes.update({"_id": 1}, {"$inc": {"items.$[].n": 1}})
    await notes.update({"_id": 1}, {"$inc": {"items.0.k": 10}})

    assert writer.transactions == 0
    assert (await stored(database))[1]["l"] == [{"k": 11, "n": 1}, {"k": 2, "n": 2, "found": True}]


@pytest.mark.parametrize("many", [True, False])
async def test_a_unique_key_that_another_row_has_is_named(database: Any, many: bool) -> None:  # noqa: FBT001 - a case
    notes = pinned(database, NOTE, 2)
    await database["notes"].create_index("n", unique=True, name="one_n")
    await database["notes"].insert_many(
        [{"_id": 1, "schema_version": 2, "n": 1}, {"_id": 2, "schema_version": 2, "n": 2}]
    )

    with pytest.raises(DocumentExistsError) as caught:
        await notes.update({"_id": 2}, {"$set": {"n": 1}}, many=many)

    assert caught.value.index == "one_n"


async def _untouched(notes: Collection[Anything]) -> object:
    return await notes.update({"_id": 1}, {"$inc": {"n": 1}})


async def _untouched_many(notes: Collection[Anything]) -> object:
    return await notes.update_many({}, {"$inc": {"n": 1}})


async def _untouched_found(notes: Collection[Anything]) -> object:
    return await notes.find_one_and_update({}, {"$inc": {"n": 1}})


@pytest.mark.parametrize("write", [_untouched, _untouched_many, _untouched_found])
async def test_a_kind_that_is_read_only_takes_no_update_at_all(
    database: Any, write: Callable[[Collection[Anything]], Awaitable[object]]
) -> None:
    kind = Kind("note", collection="notes", model=Anything, steps=[Step(ops.RemoveField("draft"), to=2)])
    await database["notes"].insert_one({"_id": 1, "schema_version": 1, "n": 1})

    with pytest.raises(WriteVersionUnwritableError, match="step 2 has no way back"):
        await write(pinned(database, kind, 1))

    assert (await stored(database))[1]["n"] == 1


async def test_a_kind_with_a_computation_on_the_whole_document_can_be_written(database: Any) -> None:
    step = Step(ops.Compute("size", {"$bsonSize": "$$ROOT"}, lambda _: 1), to=2)
    notes, writer = counted(database, Kind("note", collection="notes", model=Anything, steps=[step]), 1)
    await database["notes"].insert_one({"_id": 1, "n": 1})

    await notes.update({"_id": 1}, {"$inc": {"n": 1}})

    assert writer.transactions == 1
    assert (await notes.get(1)).n == 2


async def test_what_may_not_be_named_may_not_be_named_below_latest_either(database: Any) -> None:
    with pytest.raises(UpdateRefusedError):
        await pinned(database, NOTE, 2).update({"_id": 1}, {"$set": {"schema_version": 3}})
