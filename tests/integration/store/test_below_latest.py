"""
A store whose code is at N+1 stores N, and nobody who works with it can tell.
"""

import copy
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pytest
from pymongo.errors import OperationFailure

from docstore import Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument, identical
from docstore.core.residue import RESIDUE
from docstore.core.rollout_state import RolloutState
from docstore.core.write_version import Canary
from docstore.errors import (
    DocstoreError,
    DocumentNotFoundError,
    DowngradeFailedError,
    NotExpressibleError,
    StaleQueryError,
    StoreRejectedError,
    UpdateRefusedError,
    WriteVersionUnwritableError,
)
from docstore.mongo.failures import translated
from docstore.mongo.residue_index import RESIDUE_INDEX
from docstore.mongo.server_writing import ServerRowWriter
from docstore.store.collection import Collection
from tests.pinned import Pinned, pinned
from tests.random_kinds import Anything, loose_row, random_filter, random_invertible_kind, typed_fields, value


class Note(Anything):
    status: str = "new"


STEPS: Final = (
    Step(ops.RenameField("text", "body"), to=2),
    Step(ops.AddField("status", "new"), ops.WrapInList("tag"), to=3),
)
NOTE: Final = Kind("note", collection="notes", model=Note, steps=STEPS)
OLD: Final = Kind("note", collection="notes", model=Anything, steps=STEPS[:1])


def note(row_id: int = 1, **fields: Any) -> Note:
    return Note.model_validate({"_id": row_id, **fields})


async def raw(database: Any, row_id: int = 1) -> RawDocument:
    row: RawDocument = await database["notes"].find_one({"_id": row_id})
    return row


async def test_what_is_inserted_is_stored_below_and_read_at_latest(database: Any) -> None:
    notes = pinned(database, NOTE, 2)

    await notes.insert(note(status="sold", body="b", tag=["x", "y"]))

    kept = {"status": {"was": "new", "is": "sold"}, "tag": {"was": ["x"], "is": ["x", "y"]}}
    assert await raw(database) == {
        "_id": 1,
        "schema_version": 2,
        "body": "b",
        "tag": "x",
        RESIDUE: {"3": {"fields": kept}},
    }
    one = await notes.get(1)
    assert (one.status, one.body, one.tag) == ("sold", "b", ["x", "y"])
    assert RESIDUE_INDEX in await database["notes"].index_information()


async def test_no_index_is_built_as_long_as_nothing_has_to_be_kept(database: Any) -> None:
    notes = pinned(database, NOTE, 2)

    await notes.insert(note(status="new", body="b", tag=["x"]))

    assert await raw(database) == {"_id": 1, "schema_version": 2, "body": "b", "tag": "x"}
    assert RESIDUE_INDEX not in await database["notes"].index_information()


async def test_a_replaced_document_is_stored_below_and_can_be_replaced_again(database: Any) -> None:
    notes = pinned(database, NOTE, 2)
    one = note(tag=["x"])
    await notes.insert(one)

    for status in ("open", "sold", "new"):
        one.status = status
        await notes.replace(one)
        assert (await notes.get(1)).status == status

    assert (await raw(database))["schema_version"] == 2
    assert RESIDUE not in await raw(database)


async def _modify(old: Collection[Anything]) -> None:
    def change(document: Anything) -> Anything:
        document.body = "changed"
        return document

    await old.modify(1, change)


async def _replace(old: Collection[Anything]) -> None:
    document = await old.get(1)
    document.body = "changed"
    await old.replace(document)


async def _overwrite(old: Collection[Anything]) -> None:
    await old.replace(Anything.model_validate({"_id": 1, "body": "changed", "tag": "x"}), unguarded=True)


async def _update(old: Collection[Anything]) -> None:
    await old.update({"_id": 1}, {"$set": {"body": "changed"}})


async def _find_and_update(old: Collection[Anything]) -> None:
    await old.find_one_and_update({"_id": 1}, {"$set": {"body": "changed"}}, return_document="after")


async def _as_version(old: Collection[Anything]) -> None:
    def change(shape: Any) -> Any:
        shape["text"] = "changed"
        return shape

    await old.modify(1, change, as_version=1)


@pytest.mark.parametrize("write", [_modify, _replace, _overwrite, _update, _find_and_update, _as_version])
async def test_a_node_of_the_older_version_loses_nothing_that_it_does_not_know(
    database: Any, write: Callable[[Collection[Anything]], Awaitable[None]]
) -> None:
    new = pinned(database, NOTE, 2)
    await new.insert(note(status="sold", body="b", tag=["x", "y"]))

    await write(pinned(database, OLD, 2))

    one = await new.get(1)
    assert (one.status, one.body, one.tag) == ("sold", "changed", ["x", "y"])


async def test_what_a_node_of_the_older_version_changed_wins(database: Any) -> None:
    new, old = pinned(database, NOTE, 2), pinned(database, OLD, 2)
    await new.insert(note(status="sold", tag=["x", "y"]))

    await old.update({"_id": 1}, {"$set": {"tag": "z"}})

    assert ((await new.get(1)).status, (await new.get(1)).tag) == ("sold", ["z"])


async def test_overwriting_at_latest_takes_what_was_kept_with_it(database: Any) -> None:
    await pinned(database, NOTE, 2).insert(note(status="sold", tag=["x", "y"]))

    await pinned(database, NOTE, 3).replace(note(status="open"), unguarded=True)

    assert await raw(database) == {"_id": 1, "schema_version": 3, "status": "open"}


async def test_overwriting_below_latest_replaces_all_that_the_row_held(database: Any) -> None:
    notes = pinned(database, NOTE, 2)
    await notes.insert(note(status="sold", tag=["x", "y"], gone=1))

    await notes.replace(note(status="open"), unguarded=True)

    assert (await notes.get(1)).model_dump() == note(status="open").model_dump()
    assert (await raw(database))["schema_version"] == 2
    with pytest.raises(DocumentNotFoundError):
        await notes.replace(note(9), unguarded=True)


@pytest.mark.parametrize(
    ("operators", "status", "tag"),
    [
        ({"$set": {"status": "sold"}}, "sold", ["x"]),
        ({"$push": {"tag": "y"}}, "new", ["x", "y"]),
        ({"$push": {"tag": "y"}, "$set": {"status": "b"}, "$inc": {"n": 1}}, "b", ["x", "y"]),
        ({"$set": {"tag.0": "z"}}, "new", ["z"]),
        ({"$set": {"tag.$[]": "z"}}, "new", ["z"]),
    ],
)
async def test_operators_meet_the_latest_shape(
    database: Any, operators: dict[str, Any], status: str, tag: list[str]
) -> None:
    notes = pinned(database, NOTE, 2)
    await notes.insert(note(status="new", tag=["x"], n=0))

    result = await notes.update({"_id": 1}, operators)
    again = await notes.update({"_id": 1}, {"$set": {"status": status}})

    one = await notes.get(1)
    assert (result.matched, result.modified, again.matched, again.modified) == (1, 1, 1, 0)
    assert (one.status, one.tag) == (status, tag)
    assert (await raw(database))["schema_version"] == 2


async def test_the_positional_operator_meets_what_the_filter_found_at_latest(database: Any) -> None:
    notes = pinned(database, NOTE, 2)
    await notes.insert(note(tag=["x", "y"]))

    await notes.update({"tag": "y"}, {"$set": {"tag.$": "z"}})

    assert (await notes.get(1)).tag == ["x", "z"]


async def test_operators_on_what_no_step_looks_at_leave_rows_where_they_stand(database: Any) -> None:
    await database["notes"].insert_many(
        [
            {"_id": 1, "text": "a"},
            {"_id": 2, "schema_version": 2, "body": "a"},
            {"_id": 3, "schema_version": 3, "body": "a"},
        ]
    )
    notes = pinned(database, NOTE, 2)

    result = await notes.update_many({"n": None}, {"$inc": {"n": 1}})
    first = await notes.find_one_and_update({}, {"$inc": {"n": 1}}, sort=[("_id", 1)], return_document="after")

    assert (result.matched, result.modified) == (3, 3)
    assert first is not None
    assert (first.id, first.n, first.body) == (1, 2, "a")
    rows = [row async for row in database["notes"].find(sort=[("_id", 1)])]
    assert [row.get("schema_version") for row in rows] == [None, 2, 3]


async def test_every_row_that_matches_is_updated_once(database: Any) -> None:
    notes = pinned(database, NOTE, 2)
    await notes.insert_many([note(each, tag=["x"], status="a" if each % 3 else "b") for each in range(12)])
    await database["notes"].insert_one({"_id": 20, "schema_version": 3, "tag": ["x"], "status": "a"})

    result = await notes.update_many({"status": "a"}, {"$push": {"tag": "y"}, "$inc": {"n": 1}})

    found = await notes.find({"n": 1}, sort=[("_id", 1)]).to_list()
    assert (result.matched, result.modified, len(found)) == (9, 9, 9)
    assert {tuple(one.tag) for one in found} == {("x", "y")}
    # A row's version is not lowered but by a rollback.
    assert (await raw(database, 20))["schema_version"] == 3


async def test_an_upsert_inserts_below_latest_or_updates(database: Any) -> None:
    notes = pinned(database, NOTE, 2)

    first = await notes.upsert({"status": "sold"}, {"$set": {"tag": ["x", "y"]}})
    second = await notes.upsert({"status": "sold"}, {"$push": {"tag": "z"}})
    third = await notes.upsert({"_id": 7}, {"$set": {"status": "b"}})

    assert (first.matched, second.matched, second.modified, third.upserted_id) == (0, 1, 1, 7)
    one = await notes.get(first.upserted_id)
    assert (one.status, one.tag) == ("sold", ["x", "y", "z"])
    assert {row["schema_version"] async for row in database["notes"].find()} == {2}


async def test_find_one_and_update_returns_the_latest_shape_before_and_after(database: Any) -> None:
    notes = pinned(database, NOTE, 2)
    await notes.insert_many([note(1, status="b", tag=["x"]), note(2, status="a", tag=["x"])])

    before = await notes.find_one_and_update({}, {"$push": {"tag": "y"}}, sort=[("status", 1)])
    after = await notes.find_one_and_update({"status": "a"}, {"$push": {"tag": "z"}}, return_document="after")
    none = await notes.find_one_and_update({"_id": 9}, {"$set": {"status": "n"}}, upsert=True)

    assert before is not None
    assert after is not None
    assert (before.id, before.tag, after.id, after.tag, none) == (2, ["x"], 2, ["x", "y", "z"], None)
    after.tag = ["q", "r"]
    await notes.replace(after)
    assert ((await notes.get(2)).tag, (await notes.get(9)).status) == (["q", "r"], "n")


async def test_deleting_finds_what_is_kept(database: Any) -> None:
    notes = pinned(database, NOTE, 2)
    await notes.insert_many([note(1, status="sold"), note(2, status="new"), note(3, status="sold")])

    assert await notes.delete_one({"status": "new"})
    assert await notes.delete_many({"status": "sold"}) == 2
    assert await notes.count({}) == 0


async def test_within_the_users_transaction_all_of_it_happens_or_nothing(database: Any) -> None:
    notes = pinned(database, NOTE, 2)
    await notes.insert(note(status="sold", tag=["x"]))

    async with database.client.start_session() as session:
        await session.start_transaction()
        await notes.update({"status": "sold"}, {"$push": {"tag": "y"}}, session=session)
        assert (await notes.get(1, session=session)).tag == ["x", "y"]
        await session.abort_transaction()
        async with await session.start_transaction():
            await notes.update({"status": "sold"}, {"$set": {"status": "open"}}, session=session)

    one = await notes.get(1)
    assert (one.status, one.tag) == ("open", ["x"])


async def test_a_transaction_cannot_be_the_first_to_keep_something(database: Any) -> None:
    notes = pinned(database, NOTE, 2)
    await notes.insert(note(tag=["x"], status="new"))

    async with database.client.start_session() as session, await session.start_transaction():
        with pytest.raises(UpdateRefusedError, match="outside of a transaction first"):
            await notes.insert(note(2, status="sold"), session=session)


async def test_on_a_standalone_what_takes_a_transaction_is_refused_by_name_and_the_rest_is_not(database: Any) -> None:
    class Standalone(ServerRowWriter):
        async def in_transaction(self, work: Any, *, session: Any) -> Any:
            del work, session
            with translated():
                raise OperationFailure("Transaction numbers are only allowed on a replica set member or mongos", 20)

    notes = pinned(database, NOTE, 2)
    await notes.insert(note(tag=["x"], status="new"))
    before = await raw(database)
    notes._updates._below._writer = notes._updates._below._at_latest._writer = Standalone(database, "notes")

    with pytest.raises(UpdateRefusedError, match="standalone"):
        await notes.update({"_id": 1}, {"$push": {"tag": "y"}})
    assert await raw(database) == before
    for operators in ({"$inc": {"n": 1}}, {"$set": {"tag": ["y"]}}, {"$set": {"tag.0": "z"}}):
        assert (await notes.update({"_id": 1}, operators)).modified == 1
    assert await raw(database) == {**before, "n": 1, "tag": "z"}


async def test_operators_that_no_server_takes_are_refused_whether_or_not_a_row_matches(database: Any) -> None:
    notes = pinned(database, NOTE, 2)

    for many in (True, False):
        with pytest.raises(StoreRejectedError):
            await notes.update({"_id": 1}, {"$set": {"tag": 1}, "$unset": {"tag": ""}}, many=many)


STRICT: Final = Kind(
    "note", collection="notes", model=Note, steps=[*STEPS, Step(ops.MapValues("state", {1: "open", 2: "shut"}), to=4)]
)


async def test_what_no_older_row_can_hold_is_refused_and_nothing_is_written(database: Any) -> None:
    notes = pinned(database, STRICT, 3)
    await notes.insert(note(state="open"))
    before = await raw(database)

    async def modify(document: Note) -> Note:
        document.state = "secret"
        return document

    one = await notes.get(1)
    one.state = "secret"
    for write in (
        notes.insert(note(2, state="secret")),
        notes.replace(one),
        notes.modify(1, modify),
        notes.update({"_id": 1}, {"$set": {"state": "secret"}}),
        notes.update({"_id": 3}, {"$set": {"state": "secret"}}, upsert=True),
        notes.replace(note(state="secret"), unguarded=True),
    ):
        with pytest.raises(NotExpressibleError) as caught:
            await write
        assert (caught.value.step, caught.value.path, "secret" in str(caught.value)) == (4, "state", False)

    assert await raw(database) == before
    assert await database["notes"].count_documents({}) == 1


async def test_a_refusal_within_the_users_transaction_leaves_the_row_as_it_was(database: Any) -> None:
    notes = pinned(database, STRICT, 3)
    await notes.insert(note(state="open", status="sold"))
    before = await raw(database)

    async with database.client.start_session() as session, await session.start_transaction():
        with pytest.raises(NotExpressibleError):
            await notes.update({"_id": 1}, {"$set": {"state": "secret"}}, session=session)
        await notes.update({"_id": 1}, {"$inc": {"n": 1}}, session=session)

    assert await raw(database) == {**before, "n": 1}


async def test_a_step_without_a_way_back_makes_the_kind_read_only_until_the_flip(database: Any) -> None:
    kind = Kind("note", collection="notes", model=Note, steps=[*STEPS, Step(ops.RemoveField("draft"), to=4)])
    await database["notes"].insert_one({"_id": 1, "schema_version": 3, "draft": 1})
    notes = pinned(database, kind, 3)

    assert (await notes.get(1)).status == "new"
    for write in (
        notes.insert(note(2)),
        notes.update({"_id": 1}, {"$set": {"draft": 2}}),
        notes.modify(1, lambda document: document),
    ):
        with pytest.raises(WriteVersionUnwritableError, match="step 4 has no way back"):
            await write


async def test_the_canary_takes_the_rows_of_its_ids_and_no_change_of_them_brings_them_back(database: Any) -> None:
    member = Pinned(NOTE, 2)
    member.state = replace(member.state, state=RolloutState.CANARY, canary=Canary(3, 50.0))
    notes = pinned(database, NOTE, 2, member=member)

    await notes.insert_many([note(each, status="sold") for each in range(40)])
    versions = {row["_id"]: row["schema_version"] async for row in database["notes"].find()}
    member.state = replace(member.state, canary=None, state=RolloutState.STABLE)
    await notes.update_many({}, {"$set": {"status": "open"}})
    standing = {row["_id"]: row["schema_version"] async for row in database["notes"].find()}
    member.state = replace(member.state, state=RolloutState.ROLLING_BACK)
    await notes.update_many({}, {"$set": {"status": "shut"}})

    assert set(Counter(versions.values())) == {2, 3}
    assert standing == versions
    assert {row["_id"]: row["schema_version"] async for row in database["notes"].find()} == versions
    assert {one.status for one in await notes.find().to_list()} == {"shut"}


ROUNDS: Final = 3
KINDS: Final = 8
WRITES: Final = 24
IDS: Final = 5


def _document(rng: random.Random, row_id: int) -> Anything:
    return Anything.model_validate({**loose_row(rng), **typed_fields(rng), "_id": row_id})


def _operators(rng: random.Random, heads: list[str]) -> dict[str, Any]:
    path = rng.choice([*heads, "a", "b", "n.x", "n.z.u", "l", "other"])
    makers: list[Callable[[], dict[str, Any]]] = [
        lambda: {"$set": {path: value(rng)}},
        lambda: {"$unset": {path: ""}},
        lambda: {"$inc": {path: 1}},
        lambda: {"$push": {path: value(rng, 2)}},
        lambda: {"$addToSet": {path: 1}},
        lambda: {"$min": {path: 1}, "$set": {"other": rng.randrange(9)}},
        lambda: {"$rename": {path.split(".")[0]: "moved"}},
        lambda: {"$pull": {path: {"k": 1}}},
        lambda: {"$inc": {"other": 1}},
    ]
    return rng.choice(makers)()


def _write(rng: random.Random, kind: Kind[Anything], known: list[RawDocument]) -> Callable[[Any], Awaitable[Any]]:
    """
    Return a write that two collections can make, one after the other.
    """
    row_id, seed = rng.randrange(IDS), rng.random()
    heads = sorted({path[0] for path in kind.writes(1, kind.latest) or ()})
    document, operators = _document(rng, row_id), _operators(rng, heads)
    query = random_filter(rng, kind, known) if known and rng.random() < 0.4 else {"_id": row_id}
    part = _document(rng, row_id).model_dump()

    def change(found: Anything) -> Anything:
        chance = random.Random(seed)
        for name in chance.sample(sorted(part.keys() - {"id"}), 2):
            setattr(found, name, copy.deepcopy(part[name]))
        return found

    async def counts(rows: Any, *, many: bool = False, upsert: bool = False) -> Any:
        result = await rows.update(query, operators, many=many, upsert=upsert)
        return result.matched, result.modified

    async def seen(rows: Any, which: Any) -> Any:
        found = await rows.find_one_and_update(query, operators, sort=[("_id", 1)], return_document=which)
        return None if found is None else ("found", _fields(found.model_dump()))

    writes: list[Callable[[Any], Awaitable[Any]]] = [
        lambda rows: rows.insert(document.model_copy(deep=True)),
        lambda rows: rows.insert(document.model_copy(deep=True)),
        lambda rows: rows.replace(document.model_copy(deep=True), unguarded=True),
        lambda rows: rows.modify(row_id, change),
        lambda rows: counts(rows, many=True),
        lambda rows: counts(rows) if "_id" in query else counts(rows, many=True),
        lambda rows: counts(rows, upsert=True) if query == {"_id": row_id} else counts(rows, many=True),
        lambda rows: seen(rows, rng_which),
        lambda rows: rows.delete_many(query),
    ]
    rng_which = rng.choice(["before", "after"])
    return rng.choice(writes[:-1] if rng.random() < 0.8 else writes)


def _fields(row: RawDocument) -> dict[str, Any]:
    return {name: held for name, held in sorted(row.items()) if name not in {"schema_version", RESIDUE}}


async def _inserted(one: Anything, rows: Collection[Any]) -> Any:
    return await rows.insert(one.model_copy())


async def _outcome(write: Callable[[Any], Awaitable[Any]], rows: Any) -> Any:
    try:
        result = await write(rows)
    except (DowngradeFailedError, StaleQueryError) as refusal:
        return refusal
    except DocstoreError as error:
        return type(error).__name__
    return None if isinstance(result, Anything) else result


async def _rows(database: Any, kind: Kind[Anything]) -> dict[Any, RawDocument]:
    return {row["_id"]: kind.upgrade(row) async for row in database[kind.collection].find()}


def _assert_same(first: dict[Any, RawDocument], second: dict[Any, RawDocument], about: Any) -> None:
    assert first.keys() == second.keys(), about
    for row_id, row in first.items():
        one, other = _fields(row), _fields(second[row_id])
        assert one.keys() == other.keys(), (about, one, other)
        different = [(name, one[name], other[name]) for name in one if not identical(one[name], other[name])]
        assert not different, (different, about)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(ROUNDS))
async def test_random_writes_below_latest_do_what_they_do_at_latest(
    database: Any,
    number: int,
    thorough: bool,  # noqa: FBT001 - a fixture
    record_property: Callable[[str, object], None],
) -> None:
    told: Counter[str] = Counter()
    for case in range(KINDS * (10 if thorough else 1)):
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} below {number} {case}")
        below = random_invertible_kind(rng, functions=0.15 if case % 2 else 0.0)
        direct = Kind("direct", collection="direct", model=Anything, steps=below.steps)
        older = Kind("thing", collection="things", model=Anything, steps=below.steps[:-1])
        for name in ("things", "direct"):
            await database[name].delete_many({})
        version = rng.choice([below.latest - 1, below.latest - 1, 1])
        new, plain = pinned(database, below, version), pinned(database, direct, direct.latest)
        old = pinned(database, older, version)
        for row_id in range(IDS):
            first = _document(rng, row_id)
            if not isinstance(await _outcome(partial(_inserted, first), new), Exception):
                await plain.insert(first)
        for _ in range(WRITES):
            before = await _rows(database, below)
            if case % 2 == 0 and before and rng.random() < 0.3:
                remark = {"$set": {"remark": rng.randrange(99)}}
                row_id = rng.choice(list(before))
                await old.update({"_id": row_id}, remark)
                await plain.update({"_id": row_id}, remark)
                continue
            write = _write(rng, below, list(before.values()))
            done = await _outcome(write, new)
            if isinstance(done, Exception):
                told["refused"] += 1
            else:
                told["done"] += 1
                told[str(done) if isinstance(done, str) else type(done).__name__] += 1
                assert done == await _outcome(write, plain), (below.steps, done)
            if isinstance(done, DowngradeFailedError) or done == "StoreRejectedError":
                # An update of many that fails at one row has changed any others.
                after = await _rows(database, below)
                await database["direct"].delete_many({})
                if after:
                    await database["direct"].insert_many(list(after.values()))
            _assert_same(await _rows(database, below), await _rows(database, direct), (below.steps, done))
        stored = [row async for row in database["things"].find()]
        told["kept"] += sum(RESIDUE in row for row in stored)
        assert all(row.get("schema_version", 1) <= version for row in stored)
    record_property("writes below latest", f"round {number}: {dict(told)}")
    assert told["done"] > told["refused"]
    assert told["kept"] > KINDS / 2
