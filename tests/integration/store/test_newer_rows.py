"""
Old code meets new rows: it reads them through published steps, changes them where they stand, and strips nothing.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from bson import Int64
from pydantic import BaseModel

from docstore import Collection, Document, Kind, Step, Store
from docstore import operations as ops
from docstore.core.bson_values import encode, identical
from docstore.core.lens import seen_at
from docstore.core.newer_steps import newer_versions
from docstore.errors import (
    ConflictError,
    DowngradeFailedError,
    InvalidDocumentError,
    NewerVersionError,
    NodeRefusedError,
    RolloutRefusedError,
    UpdateRefusedError,
    WriteVersionUnwritableError,
)
from docstore.fleet.operating import Rollouts
from docstore.fleet.step_exchange import StepExchange
from tests.random_kinds import Anything, paths_of, random_kind, random_rows, value

FIRST = Step(ops.RenameField("label", "title"), to=2)
SECOND = Step(
    ops.RenameField("zip", "address.postcode"), ops.AddField("stock", 0), ops.MapValues("size", {"s": 1, "l": 2}), to=3
)


class Old(Document):
    title: str
    zip: str | None = None
    size: str | None = None
    note: str = ""


class Address(BaseModel):
    postcode: str | None = None


class New(Document):
    title: str
    address: Address = Address()
    size: int | None = None
    stock: int = 0
    note: str = ""


def old_kind() -> Kind[Old]:
    return Kind("item", collection="items", model=Old, steps=[FIRST])


def new_kind(second: Step = SECOND) -> Kind[New]:
    return Kind("item", collection="items", model=New, steps=[FIRST, second])


def row_of(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "_id": number,
        "schema_version": 3,
        "title": f"item {number}",
        "address": {"postcode": f"{number}000", "street": "kept"},
        "size": 1,
        "stock": Int64(number),
        "unknown": {"to": "both"},
        **fields,
    }


@dataclass
class Both:
    """
    Two releases of one service on one database, where rows stand at the newer one's latest.
    """

    database: Any
    rows: Any
    old: Collection[Old]
    new: Collection[New]

    async def row(self, number: int) -> Any:
        return await self.rows.find_one({"_id": number})


async def opened(stack: AsyncExitStack, database: Any, kind: Kind[Any], **options: Any) -> Collection[Any]:
    settings = {"heartbeat": 0.1, "dead_after": 60.0, "patience": 5.0, **options}
    store = Store(database, kinds=[kind], service="shop", **settings)
    return (await stack.enter_async_context(store)).collection(kind)


@pytest.fixture
async def both(server_database: Any) -> AsyncIterator[Both]:
    rows = server_database["items"]
    async with AsyncExitStack() as stack:
        await rows.insert_many([row_of(1), row_of(2, size=2), row_of(3)])
        new = await opened(stack, server_database, new_kind())
        old = await opened(stack, server_database, old_kind())
        yield Both(server_database, rows, old, new)


async def test_a_newer_row_is_read_in_the_shape_of_the_old_model(both: Both) -> None:
    found = await both.old.get(2)

    assert found == Old(id=2, title="item 2", zip="2000", size="l")
    assert await both.old.find_one({"zip": "2000"}) == found
    assert [item.id async for item in both.old.find({"size": "s"}, sort=[("zip", -1)])] == [3, 1]
    assert await both.old.count({"zip": {"$gte": "2000"}}) == 2
    assert await both.old.get(2, as_version=1) == await both.new.get(2, as_version=1)


async def test_a_pipeline_of_old_code_sees_newer_rows_in_its_own_shape(both: Both) -> None:
    grouped: list[dict[str, Any]] = [{"$group": {"_id": "$size", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}]

    cursor = await both.old.aggregate(grouped)

    assert await cursor.to_list() == [{"_id": "l", "n": 1}, {"_id": "s", "n": 2}]


async def test_a_node_that_meets_a_newer_row_does_not_tag_it_down(both: Both) -> None:
    before = [row async for row in both.rows.find(sort=[("_id", 1)])]

    await both.old.find().to_list()
    await both.old.modify(1, lambda item: item)
    document = await both.old.get(2)
    await both.old.replace(document)

    assert [row async for row in both.rows.find(sort=[("_id", 1)])] == before


async def test_a_change_by_old_code_strips_no_field_that_only_new_code_knows(both: Both) -> None:
    def change(item: Old) -> Old:
        item.title, item.zip, item.size = "changed", "9999", "l"
        return item

    returned = await both.old.modify(1, change)

    assert returned == Old(id=1, title="changed", zip="9999", size="l")
    assert await both.row(1) == row_of(
        1, title="changed", address={"postcode": "9999", "street": "kept"}, size=2, stock=Int64(1)
    )
    assert isinstance((await both.row(1))["stock"], Int64)
    assert await both.new.get(1) == New(id=1, title="changed", address=Address(postcode="9999"), size=2, stock=1)
    assert await both.old.get(1) == returned


async def test_a_document_read_by_old_code_is_replaced_where_its_row_stands(both: Both) -> None:
    document = await both.old.get(1)
    document.note = "read by old code"
    await both.old.replace(document)
    document.zip = None
    await both.old.replace(document)

    assert await both.row(1) == row_of(1, note="read by old code", address={"postcode": None, "street": "kept"})


async def test_a_document_read_before_its_row_was_brought_up_is_still_replaced(both: Both) -> None:
    await both.rows.insert_one({"_id": 9, "schema_version": 2, "title": "a", "zip": "1"})
    document = await both.old.get(9)
    await both.rows.replace_one({"_id": 9}, new_kind().upgrade(await both.row(9)))
    document.title = "b"

    await both.old.replace(document)

    assert await both.row(9) == {
        "_id": 9,
        "schema_version": 3,
        "title": "b",
        "address": {"postcode": "1"},
        "stock": 0,
    }


async def test_a_change_that_another_writer_was_quicker_with_is_a_conflict(both: Both) -> None:
    document = await both.old.get(1)
    await both.rows.update_one({"_id": 1}, {"$set": {"title": "quicker"}})
    document.title = "slower"

    with pytest.raises(ConflictError):
        await both.old.replace(document)


async def test_a_change_that_the_newer_shape_does_not_take_is_refused_by_name(both: Both) -> None:
    def change(item: Old) -> Old:
        item.size = "xxl"
        return item

    before = await both.row(1)
    with pytest.raises(UpdateRefusedError, match="step 3 does not take the change at 'size'"):
        await both.old.modify(1, change)

    assert await both.row(1) == before


async def _update(items: Collection[Old]) -> None:
    await items.update({"zip": "1000"}, {"$set": {"title": "x"}})


async def _update_by_title(items: Collection[Old]) -> None:
    await items.update({"title": "item 1"}, {"$set": {"note": "x"}})


async def _update_many(items: Collection[Old]) -> None:
    await items.update({"zip": "1000"}, {"$unset": {"zip": 1}}, many=True)


async def _upsert(items: Collection[Old]) -> None:
    await items.update({"_id": 1}, {"$set": {"title": "x"}}, upsert=True)


async def _overwrite(items: Collection[Old]) -> None:
    await items.replace(Old(id=1, title="x", size="s"), unguarded=True)


async def _find_one_and_update(items: Collection[Old]) -> None:
    await items.find_one_and_update({"zip": "1000"}, {"$set": {"title": "x"}}, sort=[("zip", 1)])


async def _delete_many(items: Collection[Old]) -> None:
    await items.delete_many({"zip": "1000"})


async def _delete_one(items: Collection[Old]) -> None:
    await items.delete_one({"zip": "1000"})


@pytest.mark.parametrize(
    "write",
    [
        _update,
        _update_by_title,
        _update_many,
        _upsert,
        _overwrite,
        _find_one_and_update,
        _delete_many,
        _delete_one,
    ],
    ids=lambda write: write.__name__,
)
async def test_what_cannot_be_lifted_is_refused_by_name_and_changes_nothing(both: Both, write: Any) -> None:
    before = [row async for row in both.rows.find(sort=[("_id", 1)])]

    with pytest.raises((NewerVersionError, WriteVersionUnwritableError)) as refused:
        await write(both.old)

    assert getattr(refused.value, "kind", None) == "item"
    assert [row async for row in both.rows.find(sort=[("_id", 1)])] == before


async def test_operators_that_match_no_newer_row_are_applied(both: Both) -> None:
    await both.rows.insert_one({"_id": 9, "schema_version": 2, "title": "nine", "zip": "9000"})

    result = await both.old.update({"zip": "9000"}, {"$set": {"note": "x"}}, many=True)

    assert result.matched == 1
    assert (await both.row(9))["note"] == "x"


async def test_an_update_of_an_older_row_changes_it_where_it_stands(both: Both) -> None:
    await both.rows.insert_one({"_id": 9, "schema_version": 1, "label": "nine", "zip": "9000", "size": "l"})

    await both.old.update({"zip": "9000"}, {"$set": {"title": "changed", "size": "s"}})

    assert await both.row(9) == {"_id": 9, "schema_version": 1, "label": "changed", "zip": "9000", "size": "s"}
    assert await both.new.get(9) == New(id=9, title="changed", address=Address(postcode="9000"), size=1, stock=0)


async def test_an_upsert_that_inserts_is_stored_where_the_fleet_stores_rows(both: Both) -> None:
    await both.old.update({"_id": 9}, {"$set": {"title": "nine", "zip": "9000", "size": "l"}}, upsert=True)

    assert await both.new.get(9) == New(id=9, title="nine", address=Address(postcode="9000"), size=2, stock=0)
    assert (await both.row(9))["schema_version"] == 3


async def test_a_part_of_a_newer_row_is_read_in_the_old_shape(both: Both) -> None:
    class Part(BaseModel):
        zip: str
        size: str

    found = await both.old.find(sort=[("zip", 1)], projection=Part).to_list()

    assert found == [Part(zip="1000", size="s"), Part(zip="2000", size="l"), Part(zip="3000", size="s")]


async def test_old_code_sees_changes_of_newer_rows_in_its_own_shape_and_no_rewrites(both: Both) -> None:
    await both.rows.insert_one({"_id": 9, "schema_version": 2, "title": "nine", "zip": "9000", "size": "l"})
    async with both.old.watch(wait=5.0) as changes:
        await both.rows.replace_one({"_id": 9}, new_kind().upgrade(await both.row(9)))
        await both.rows.update_one({"_id": 9}, {"$set": {"address.postcode": "9999"}})
        change = await anext(changes)

    assert change.document == Old(id=9, title="nine", zip="9999", size="l")
    assert change.operation == "update"


async def test_old_code_stores_new_rows_where_the_fleet_stores_them(both: Both) -> None:
    await both.old.insert(Old(id=9, title="nine", zip="9000", size="l"))

    assert await both.row(9) == {
        "_id": 9,
        "schema_version": 3,
        "title": "nine",
        "address": {"postcode": "9000"},
        "size": 2,
        "note": "",
        "stock": 0,
    }
    assert await both.old.get(9) == Old(id=9, title="nine", zip="9000", size="l")


async def test_old_code_takes_part_through_a_flip_that_it_lives_through(server_database: Any) -> None:
    rows = server_database["items"]
    await rows.insert_one({"_id": 1, "schema_version": 2, "title": "one", "zip": "1000", "size": "s"})
    async with AsyncExitStack() as stack:
        kind = old_kind()
        store = Store(server_database, kinds=[kind], service="shop", heartbeat=0.1)
        old = (await stack.enter_async_context(store)).collection(kind)
        await opened(stack, server_database, new_kind())
        rollouts = Rollouts(server_database, by="operator")
        await _until(lambda: bool(newer_versions(old.kind)))
        while True:
            try:
                await rollouts.advance(new_kind())
                break
            except RolloutRefusedError:
                # The old node has not said yet that it takes the published step.
                await asyncio.sleep(0.05)
        await _until(lambda: store._member.version_for("item", 1) == 3)

        await old.modify(1, lambda item: item.model_copy(update={"zip": "1111"}))

        row = await rows.find_one({"_id": 1})
        assert (row["schema_version"], row["address"], row["stock"]) == (3, {"postcode": "1111"}, 0)


async def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60.0
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


async def test_a_store_that_refuses_newer_rows_is_not_opened_beside_them(both: Both) -> None:
    with pytest.raises(NodeRefusedError):
        async with Store(both.database, kinds=[old_kind()], service="shop", patience=0.0, read_newer="refuse"):
            pass


async def test_a_store_that_was_not_opened_learns_of_the_steps_when_it_meets_a_row(both: Both) -> None:
    kind = old_kind()
    items = Store(both.database, kinds=[kind], service="shop", fleet=False).collection(kind)

    assert (await items.get(1)).zip == "1000"
    refusing = Store(both.database, kinds=[kind], service="shop", fleet=False, read_newer="refuse").collection(kind)
    with pytest.raises(NewerVersionError):
        await refusing.get(1)


async def test_a_step_of_functions_is_not_published_and_its_rows_are_refused(server_database: Any) -> None:
    def up(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "stock": 0}

    def down(row: dict[str, Any]) -> dict[str, Any]:
        row.pop("stock")
        return row

    rows = server_database["items"]
    await rows.insert_one({"_id": 1, "schema_version": 3, "title": "one", "stock": 1})
    async with AsyncExitStack() as stack:
        await opened(stack, server_database, new_kind(Step(upgrade=up, downgrade=down, to=3)))
        with pytest.raises(NodeRefusedError, match="only versions up to 2 can be read"):
            await opened(stack, server_database, old_kind(), patience=0.0)
        kind = old_kind()
        reader = Store(server_database, kinds=[kind], service="shop", fleet=False).collection(kind)
        for question in (reader.get(1), reader.find_one({"_id": 1}), reader.modify(1, lambda item: item)):
            with pytest.raises(NewerVersionError) as refused:
                await question
            assert (refused.value.found, refused.value.latest) == (3, 2)


@pytest.mark.parametrize("value", ["publish", "", None])
def test_read_newer_takes_one_of_two_words(mock_database: Any, value: Any) -> None:
    with pytest.raises(ValueError, match="read_newer takes 'published' or 'refuse'"):
        Store(mock_database, kinds=[old_kind()], service="shop", read_newer=value)


async def test_changes_by_old_code_are_seen_by_new_code_and_strip_nothing_for_random_kinds(database: Any) -> None:
    taken = refused = 0
    for case in range(40):
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} lifted {case}")
        steps = random_kind(rng, functions=0.0).steps
        name = f"thing{case}"
        new = Kind(name, collection=name, model=Anything, steps=steps)
        old = Kind(name, collection=name, model=Anything, steps=steps[: rng.randrange(len(steps))])
        await StepExchange(database, [new]).publish()
        things = Store(database, kinds=[old], service="shop", fleet=False).collection(old)
        rows = [row for row in random_rows(rng, new, 8) if new.version(row) > old.latest]
        if rows:
            await database[name].insert_many(rows)
        for row in rows:
            try:
                seen = await things.get(row["_id"])
            except (NewerVersionError, DowngradeFailedError):
                # A step on the way down is not published, or does not take the row.
                continue
            before = encode(await database[name].find_one({"_id": row["_id"]}))
            await things.modify(row["_id"], lambda document: document)
            assert encode(await database[name].find_one({"_id": row["_id"]})) == before
            field = rng.choice(["note", *paths_of(seen.model_dump())]).split(".")[0]
            change = {field: value(rng)}

            def changed(document: Any, to: dict[str, Any] = change) -> Any:
                return document.model_copy(update=to)

            try:
                written = await things.modify(row["_id"], changed)
            except (UpdateRefusedError, InvalidDocumentError):
                refused += 1
                assert encode(await database[name].find_one({"_id": row["_id"]})) == before
                continue
            taken += 1
            stored = await database[name].find_one({"_id": row["_id"]})
            assert stored["schema_version"] == new.version(row)
            assert identical(seen_at(new, stored, old.latest)[field], written.model_dump()[field])
            touched = {path[0] for path in new.writes(old.latest, new.latest) or ()}
            for left in row.keys() - touched - {field, "schema_version"}:
                assert identical(stored[left], row[left]), (left, steps)
    assert taken > 30, refused
