"""
A query gives the answer that it would give if every row had been rewritten: random kinds, rows and queries.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from bson import Decimal128, Int64
from pydantic import ConfigDict

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.operation import Operation
from docstore.errors import DefinitionError, DocumentError, StaleQueryError
from docstore.store.query import Queries
from docstore.store.rows import RowReader

PATHS = ["a", "b", "c", "d", "e", "n.x", "n.y", "n.z.u", "l", "l.k", "m"]
SCALARS = [0, 1, 1.0, Int64(1), 2, -3, 2.5, Decimal128("1"), "", "a", "A", "ab", "$a", "a b", None, True, False]
TYPES = ["int", "string", "array", "object", "null", "double", "bool", "number"]


class Anything(Document):
    model_config = ConfigDict(extra="allow")


def _value(rng: random.Random, depth: int = 0) -> Any:
    draw = rng.random()
    if draw < 0.12 and depth < 2:
        return [_value(rng, depth + 1) for _ in range(rng.randrange(3))]
    if draw < 0.2 and depth < 2:
        return {key: _value(rng, depth + 1) for key in rng.sample(["x", "y", "k", "z"], rng.randrange(3))}
    return rng.choice(SCALARS)


def _row(rng: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in rng.sample(["a", "b", "c", "d", "e", "m"], rng.randrange(2, 6)):
        row[name] = _value(rng)
    if rng.random() < 0.6:
        row["n"] = {key: _value(rng, 1) for key in rng.sample(["x", "y"], rng.randrange(3))}
        if rng.random() < 0.3:
            row["n"]["z"] = {"u": _value(rng, 2)}
    if rng.random() < 0.6:
        row["l"] = [
            {"k": _value(rng, 2), "w": _value(rng, 2)} if rng.random() < 0.7 else rng.choice(SCALARS)
            for _ in range(rng.randrange(3))
        ]
    return row


def _lower(row: Mapping[str, Any]) -> str:
    return str(row["a"]).lower()


def _operation(rng: random.Random) -> Operation:
    """
    Return an operation that most rows take; the second `Compute` sends all rows without an ASCII text to Python.
    """
    first, second, third = rng.sample(PATHS, 3)
    makers: list[Callable[[], Operation]] = [
        lambda: ops.RenameField(first, second),
        lambda: ops.RenameField(first, f"new{rng.randrange(3)}"),
        lambda: ops.AddField(f"new{rng.randrange(3)}", default=rng.choice(SCALARS)),
        lambda: ops.RemoveField(first),
        lambda: ops.CopyField(first, f"copy{rng.randrange(2)}"),
        lambda: ops.ConcatLists(f"joined{rng.randrange(2)}", first, second, unique=rng.random() < 0.5),
        lambda: ops.ConcatLists(f"joined{rng.randrange(2)}", first, third, keep=True),
        lambda: ops.MapValues(first, {1: "one", "a": "b", None: 0}, other="keep"),
        lambda: ops.WrapInList(first),
        lambda: ops.NestFields([first, second], into=f"nest{rng.randrange(2)}"),
        lambda: ops.ForEach("l", ops.RenameField("k", "w2")),
        lambda: ops.Compute("size", {"$type": f"${first}"}, lambda _: "x", requires=False, replace=True),
        lambda: ops.Compute(
            "lower",
            {"$toLower": "$a"},
            _lower,
            requires={"$and": [{"$eq": [{"$type": "$a"}, "string"]}, {"$ne": ["$a", "A"]}]},
            replace=True,
        ),
    ]
    return rng.choice(makers)()


def _count_fields(row: dict[str, Any]) -> dict[str, Any]:
    row["counted"] = len(row)
    return row


def _kind(rng: random.Random) -> Kind[Anything]:
    """
    Return a kind of one to four steps; one in ten is a function that says what it writes.
    """
    steps: list[Step] = []
    latest = rng.randrange(2, 6)
    while len(steps) < latest - 1:
        if rng.random() < 0.1:
            steps.append(Step(upgrade=_count_fields, writes=["counted"], to=len(steps) + 2))
            continue
        try:
            operations = [_operation(rng) for _ in range(rng.randrange(1, 4))]
            steps.append(Step(*operations, to=len(steps) + 2))
        except DefinitionError:
            continue
    return Kind("thing", collection="things", model=Anything, steps=steps)


def _rows(rng: random.Random, kind: Kind[Anything]) -> list[dict[str, Any]]:
    """
    Return rows of every version that can be upgraded; the tags are of all types that a tag may have.
    """
    rows: list[dict[str, Any]] = []
    for number in range(400):
        version = rng.randrange(1, kind.latest + 1)
        row = {"_id": number, **_row(rng)}
        if version > 1 or rng.random() < 0.6:
            row["schema_version"] = rng.choice([version, float(version), Int64(version)])
        elif rng.random() < 0.5:
            row["schema_version"] = None
        try:
            kind.upgrade(row)
        except DocumentError:
            continue
        rows.append(row)
        if len(rows) == 24:
            break
    return rows


def _paths_of(row: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for key, value in row.items():
        if key not in {"_id", "schema_version"}:
            found.append(key)
            inner = value if isinstance(value, dict) else next((v for v in _items(value) if isinstance(v, dict)), {})
            found.extend(f"{key}.{name}" for name in inner)
    return found


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _filter(rng: random.Random, upgraded: list[dict[str, Any]], depth: int = 0) -> dict[str, Any]:
    if depth < 2 and rng.random() < 0.25:
        parts = [_filter(rng, upgraded, depth + 1) for _ in range(rng.randrange(1, 3))]
        return {rng.choice(["$and", "$or", "$nor"]): parts}
    row = rng.choice(upgraded)
    path = rng.choice([*_paths_of(row), *PATHS, "_id", "new1", "joined0", "l.0", "joined1.1", "l.w2", "counted"])
    value: Any = row
    for segment in path.split("."):
        value = value.get(segment) if isinstance(value, dict) else rng.choice(SCALARS)
    literal = {"$literal": value}
    conditions: list[dict[str, Any]] = [
        {path: {"$eq": value}},
        {path: {rng.choice(["$gt", "$lte", "$ne"]): value}},
        {path: {"$exists": rng.random() < 0.5}},
        {path: {"$type": rng.choice(TYPES)}},
        {path: {"$in": [value, rng.choice(SCALARS)]}},
        {path: {"$not": {"$gt": value}}},
        {path: {"$not": {"$elemMatch": {"$gte": rng.choice(SCALARS)}}}},
        {path: {"$elemMatch": {rng.choice(["k", "w", "w2"]): {"$ne": rng.choice(SCALARS)}}}},
        {path: {"$size": rng.randrange(3)}},
        {path: None},
    ]
    if not any(segment.isdigit() for segment in path.split(".")):
        conditions.append({"$expr": {rng.choice(["$eq", "$lt", "$gte"]): [f"${path}", literal]}})
    return rng.choice(conditions)


def _sort(rng: random.Random, upgraded: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """
    Return sort keys without ties; two parallel arrays in one key are refused by every server.
    """
    if rng.random() < 0.3:
        return []
    path = rng.choice([*_paths_of(rng.choice(upgraded)), *PATHS])
    return [(path, rng.choice([1, -1])), ("_id", rng.choice([1, -1]))]


async def _rewrite(collection: Any, kind: Kind[Any], rows: list[dict[str, Any]]) -> None:
    for row in rows:
        await collection.replace_one({"_id": row["_id"]}, kind.upgrade(row))


async def _answer(queries: Queries[Anything], query: dict[str, Any]) -> tuple[list[Any], int, list[Any]] | None:
    """
    Return the ids that are found, how many match, and which of them are old; None if the query is refused.
    """
    try:
        found = [document.id for document in await queries.find(**query).to_list()]
    except StaleQueryError as refusal:
        # Only what the function writes, or what is made from it, is beyond the server.
        if refusal.rows and "Python functions" in refusal.reason:
            return None
        raise
    old = [row_id async for row_id in queries.old_ids(query["filter"])]
    return found if query["sort"] else sorted(found), await queries.count(query["filter"]), sorted(old)


@pytest.mark.parametrize("seed", range(25))
async def test_random_queries_over_mixed_versions_answer_as_after_a_full_rewrite(
    database: Any,
    seed: int,
    thorough: bool,  # noqa: FBT001 - a fixture
) -> None:
    for case in range(10 if thorough else 1):
        rng = random.Random(seed * 1000 + case)
        kind = _kind(rng)
        rows = _rows(rng, kind)
        assert len(rows) > 4
        things = database["things"]
        await things.drop()
        await things.insert_many(rows)
        upgraded = [kind.upgrade(row) for row in rows]
        asked: list[dict[str, Any]] = []
        for _ in range(14):
            sort = _sort(rng, upgraded)
            window = {"skip": rng.choice([0, 0, 3]), "limit": rng.choice([0, 0, 5])} if sort else {}
            asked.append({"filter": _filter(rng, upgraded), "sort": sort, **window})
        queries = Queries(database, kind, RowReader(kind))
        before = [await _answer(queries, query) for query in asked]
        await _rewrite(things, kind, rows)
        stored_old = {row["_id"] for row in rows if kind.version(row) < kind.latest}
        for query, answer in zip(asked, before, strict=True):
            if answer is None:
                assert any(step.upgrade for step in kind.steps), query
                continue
            options = {key: value for key, value in query.items() if key != "filter" and value}
            found = [row["_id"] async for row in things.find(query["filter"], {"_id": 1}, **options)]
            matching = {row["_id"] async for row in things.find(query["filter"], {"_id": 1})}
            expected = (found if query["sort"] else sorted(found), len(matching), sorted(matching & stored_old))
            assert answer == expected, query
