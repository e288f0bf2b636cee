"""
A write does to rows of all versions what it does after every row was rewritten: random kinds, rows and operators.
"""

import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from pymongo.errors import OperationFailure, WriteError

from docstore import Collection, Kind, Store
from docstore.core.bson_values import RawDocument, comparison_key
from docstore.errors import DocumentExistsError, StaleQueryError, StoreRejectedError
from tests.random_kinds import SCALARS, Anything, paths_of, random_filter, random_kind, random_rows

#: 10 times 21 times 5 writes: 1,050 cases.
ROUNDS: Final = 10
KINDS: Final = 21
WRITES: Final = 5
ROWS: Final = 12

#: Kinds, rows and filters that nothing can be asked of are drawn again, so many times.
DRAWS: Final = 40


def _operators(rng: random.Random, upgraded: list[RawDocument]) -> tuple[dict[str, Any], list[dict[str, Any]] | None]:
    row = rng.choice(upgraded)
    paths = [*paths_of(row), "a", "b", "n.x", "new0", "nest0.a", "fresh", "fresh.in"]
    lists = [path for path in paths_of(row) if isinstance(row.get(path), list)] or ["l"]
    path, other, held = rng.choice(paths), rng.choice(paths), rng.choice(SCALARS)
    array = rng.choice(lists)
    makers: list[Callable[[], tuple[dict[str, Any], list[dict[str, Any]] | None]]] = [
        lambda: ({"$set": {path: held}}, None),
        lambda: ({"$set": {path: {"x": held}}, "$unset": {"gone": ""}}, None),
        lambda: ({"$unset": {path: ""}}, None),
        lambda: ({"$inc": {path: 1}}, None),
        lambda: ({"$mul": {path: 2}}, None),
        lambda: ({rng.choice(["$min", "$max"]): {path: held}}, None),
        lambda: ({"$rename": {path: "moved"}}, None),
        lambda: ({"$push": {array: held}}, None),
        lambda: ({"$push": {array: {"$each": [held, 5], "$position": 0, "$slice": 3}}}, None),
        lambda: ({"$addToSet": {array: held}}, None),
        lambda: ({"$pull": {array: held}}, None),
        lambda: ({"$pop": {array: rng.choice([1, -1])}}, None),
        lambda: ({"$set": {f"{array}.$[]": held}}, None),
        lambda: ({"$set": {f"{array}.$[one]": held}}, [{"one": {"$ne": held}}]),
        lambda: ({"$inc": {f"{array}.$[one].k": 1}}, [{"one.k": {"$type": "number"}}]),
        lambda: ({"$set": {path: held}, "$inc": {"counted.writes": 1}, "$push": {other: 1}}, None),
    ]
    return rng.choice(makers)()


def _positional(rng: random.Random, upgraded: list[RawDocument]) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Return a filter on an element of an array, and operators on the element that it finds.
    """
    row = rng.choice(upgraded)
    lists = {path: row[path] for path in paths_of(row) if isinstance(row.get(path), list) and row[path]}
    if not lists:
        return {"l": {"$elemMatch": {"k": {"$exists": True}}}}, {"$set": {"l.$.seen": True}}
    path = rng.choice(sorted(lists))
    return {path: rng.choice(lists[path])}, {"$set": {f"{path}.$": "found"}}


@dataclass(frozen=True)
class Asked:
    """
    One write at random: which rows, how they are changed, an id for what takes one row only, and docstore's options.
    """

    filter: dict[str, Any]
    operators: dict[str, Any]
    array_filters: list[dict[str, Any]] | None
    row_id: int
    seed: Any
    options: dict[str, Any]

    @property
    def one(self) -> dict[str, Any]:
        return {"$and": [{"_id": self.row_id}, self.filter]}

    @property
    def fresh(self) -> dict[str, Any]:
        return {"_id": 10_000 + self.row_id % 3, "seed": self.seed}


FRESH: Final = {"$set": {"made": 1}, "$inc": {"times": 1}}


async def _many(asked: Asked, things: Collection[Anything]) -> Any:
    result = await things.update_many(asked.filter, asked.operators, array_filters=asked.array_filters, **asked.options)
    return result.matched, result.modified


async def _many_plainly(asked: Asked, rows: Any) -> Any:
    result = await rows.update_many(asked.filter, asked.operators, array_filters=asked.array_filters)
    return result.matched_count, result.modified_count


async def _single(asked: Asked, things: Collection[Anything]) -> Any:
    result = await things.update(asked.one, asked.operators, array_filters=asked.array_filters, **asked.options)
    return result.matched, result.modified


async def _single_plainly(asked: Asked, rows: Any) -> Any:
    result = await rows.update_one(asked.one, asked.operators, array_filters=asked.array_filters)
    return result.matched_count, result.modified_count


async def _found(asked: Asked, things: Collection[Anything]) -> Any:
    found = await things.find_one_and_update(
        asked.filter, asked.operators, sort=[("_id", 1)], array_filters=asked.array_filters, **asked.options
    )
    return None if found is None else found.id


async def _found_plainly(asked: Asked, rows: Any) -> Any:
    found = await rows.find_one_and_update(
        asked.filter, asked.operators, sort=[("_id", 1)], array_filters=asked.array_filters
    )
    return None if found is None else found["_id"]


async def _upserted(asked: Asked, things: Collection[Anything]) -> Any:
    result = await things.upsert(asked.fresh, FRESH, **asked.options)
    return result.matched, result.upserted_id


async def _upserted_plainly(asked: Asked, rows: Any) -> Any:
    tag = {"$setOnInsert": {"schema_version": (await rows.find_one())["schema_version"]}}
    result = await rows.update_one(asked.fresh, {**FRESH, **tag}, upsert=True)
    return result.matched_count, result.upserted_id


async def _deleted(asked: Asked, things: Collection[Anything]) -> Any:
    other = {"$and": [{"_id": asked.row_id + 1}, asked.filter]}
    deleted = await things.delete_many(asked.one, **asked.options)
    return deleted, await things.delete_one(other, **asked.options)


async def _deleted_plainly(asked: Asked, rows: Any) -> Any:
    many = await rows.delete_many(asked.one)
    one = await rows.delete_one({"$and": [{"_id": asked.row_id + 1}, asked.filter]})
    return many.deleted_count, bool(one.deleted_count)


#: Each sort of write by docstore and by the driver; what they return is compared.
WRITE: Final[list[tuple[Callable[[Asked, Any], Awaitable[Any]], Callable[[Asked, Any], Awaitable[Any]]]]] = [
    *[(_many, _many_plainly), (_single, _single_plainly), (_found, _found_plainly)] * 3,
    (_upserted, _upserted_plainly),
    (_deleted, _deleted_plainly),
]


def _asked(rng: random.Random, kind: Kind[Anything], upgraded: list[RawDocument]) -> Asked:
    row_id, seed = rng.choice(upgraded)["_id"], rng.choice(SCALARS)
    options = {"allow_client_filter": rng.random() < 0.5}
    if rng.random() < 0.15:
        where, operators = _positional(rng, upgraded)
        return Asked(where, operators, None, row_id, seed, options)
    operators, array_filters = _operators(rng, upgraded)
    return Asked(random_filter(rng, kind, upgraded), operators, array_filters, row_id, seed, options)


async def _outcome(write: Awaitable[Any]) -> Any:
    """
    Return what a write returned, or the code with which the server refused it.
    """
    try:
        return await write
    except DocumentExistsError:
        return "refused: 11000"
    except StoreRejectedError as error:
        return f"refused: {error.code}"
    except (WriteError, OperationFailure) as error:
        return f"refused: {error.code}"


def _key(row: RawDocument) -> Any:
    return tuple((name, comparison_key(row[name])) for name in sorted(row))


@pytest.mark.timeout(300)  # seconds: each is a hundred cases
@pytest.mark.parametrize("number", range(ROUNDS))
async def test_random_writes_on_rows_of_all_versions_do_what_they_do_after_a_full_rewrite(
    database: Any,
    number: int,
    thorough: bool,  # noqa: FBT001 - a fixture
) -> None:
    mixed, rewritten = database["things"], database["rewritten"]
    cases = 0
    for case in range(KINDS * DRAWS * (4 if thorough else 1)):
        if cases >= KINDS * WRITES * (4 if thorough else 1):
            break
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} {number} {case}")
        kind = random_kind(rng, functions=rng.choice([0.0, 0.3, 0.6]))
        rows = random_rows(rng, kind, ROWS)
        upgraded = [kind.upgrade(row) for row in rows]
        for collection, held in ((mixed, rows), (rewritten, upgraded)):
            await collection.delete_many({})
            await collection.insert_many(held)
        things = Store(database, kinds=[kind], service="tests", fleet=False).collection(kind)
        for _ in range(WRITES):
            asked, (ours, plain) = _asked(rng, kind, upgraded), rng.choice(WRITE)
            try:
                outcome = await _outcome(ours(asked, things))
            except StaleQueryError:
                assert not asked.options["allow_client_filter"], asked
                continue
            assert outcome == await _outcome(plain(asked, rewritten)), asked
            cases += 1
            if isinstance(outcome, str):
                # Some rows may have been updated before the one that the server refused.
                break
        else:
            stored = [row async for row in mixed.find({}, sort=[("_id", 1)])]
            expected = [row async for row in rewritten.find({}, sort=[("_id", 1)])]
            assert [_key(kind.upgrade(row)) for row in stored] == [_key(row) for row in expected]
    assert cases >= KINDS * WRITES
