"""
An update that was translated for the stored shape makes of a row what the update itself makes of it after its upgrade.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from docstore import Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument, identical
from docstore.core.residue import RESIDUE
from docstore.core.update_translation import StoredUpdate, translate_update
from docstore.errors import DefinitionError, DocumentError, DowngradeFailedError
from tests.random_kinds import (
    SCALARS,
    Anything,
    loose_row,
    paths_of,
    random_filter,
    random_invertible_kind,
    random_latest_rows,
    typed_fields,
    value,
)

CASES: Final = 150
ROWS: Final = 8
HEADS: Final = ["a", "b", "c", "d", "e", "m", "v", "w", "new0"]
ENDS: Final = [*HEADS, *HEADS, "n.x", "n.y", "n.z", "q.x", "q.y"]


def _step(rng: random.Random, to: int) -> Step:
    """
    Return a step of operations that move, wrap and map, and of one that gets in the way at times.
    """
    makers: list[Callable[[], Any]] = [
        lambda: ops.RenameField(*rng.sample(ENDS, 2)),
        lambda: ops.RenameField(*rng.sample(ENDS, 2)),
        lambda: ops.NestFields(dict(zip(rng.sample(HEADS, 2), "xy", strict=True)), into="q"),
        lambda: ops.UnnestFields("n", dict(zip("xy", rng.sample(HEADS, 2), strict=True))),
        lambda: ops.WrapInList(rng.choice(ENDS)),
        lambda: ops.MapValues(rng.choice(ENDS), {"a": "x", "ab": 1, None: "none"}, other="keep"),
        lambda: ops.MapValues(rng.choice(ENDS), {"a": "b", "b": "a"}, other="keep"),
        lambda: ops.AddField(rng.choice([*ENDS, "n.u", "q.u"]), rng.choice(SCALARS)),
        lambda: ops.CopyField(*rng.sample(ENDS, 2)),
        lambda: ops.RemoveField("old", restore=ops.CopyField(rng.choice(HEADS), "old")),
    ]
    while True:
        try:
            return Step(*(rng.choice(makers)() for _ in range(rng.randrange(1, 4))), to=to)
        except DefinitionError:
            continue


def _kind(rng: random.Random) -> Kind[Anything]:
    if rng.random() < 0.2:
        return random_invertible_kind(rng, functions=0.0)
    steps = [_step(rng, to) for to in range(2, rng.randrange(3, 5))]
    return Kind("thing", collection="things", model=Anything, steps=steps)


def _rows(rng: random.Random, kind: Kind[Anything], low: int) -> list[RawDocument]:
    """
    Return rows as they are stored at a version: some as that version makes them, some lowered from latest.
    """
    rows = []
    for row in random_latest_rows(rng, kind, ROWS // 2):
        try:
            rows.append(kind.lower(row, to=low))
        except DowngradeFailedError:
            continue
    for _ in range(ROWS):
        row = {**loose_row(rng), **(typed_fields(rng) if rng.random() < 0.3 else {}), "schema_version": low}
        row |= {name: [value(rng, 1), 1] for name in rng.sample(HEADS, 2) if rng.random() < 0.5}
        try:
            kind.upgrade(row)
        except DocumentError:
            continue
        rows.append(row)
    return rows[:ROWS]


def _path(rng: random.Random, kind: Kind[Anything], row: RawDocument) -> str:
    written = sorted(".".join(path) for path in kind.writes(1, kind.latest) or ())
    path = rng.choice([*written, *written, *(paths_of(row) or ["a"]), *ENDS, "other"])
    held = _held(row, path)
    if isinstance(held, list):
        return path + rng.choice(["", "", ".0", ".$[]", ".$[e]", ".$", ".1", ".0.k"])
    return path + rng.choice([".k", ".x", ".0"]) if rng.random() < 0.1 else path


def _held(row: RawDocument, path: str) -> Any:
    held: Any = row
    for segment in path.split("."):
        if isinstance(held, list):
            held = held[0] if held else None
        else:
            held = held.get(segment) if isinstance(held, dict) else None
    return held


def _operator(rng: random.Random, held: Any) -> tuple[str, Any]:
    """
    Return an operator that a server mostly takes for what stands at a path.
    """
    anywhere = [
        ("$set", value(rng)),
        ("$set", rng.choice(["x", "b", "none", 1, ["a"], [1], "ab"])),
        ("$unset", ""),
        ("$min", rng.choice(SCALARS)),
        ("$max", rng.choice(SCALARS)),
    ]
    numeric = [("$inc", 1), ("$mul", 2), ("$bit", {"or": 5})]
    listed = [("$push", value(rng, 2)), ("$addToSet", rng.choice(SCALARS)), ("$pull", 1), ("$pop", 1)]
    fitting = numeric if type(held) in {int, float} else listed if isinstance(held, list) else anywhere
    draw = rng.random()
    if draw < 0.03:
        return "$rename", "moved"
    return rng.choice(anywhere if draw < 0.4 else fitting if draw < 0.95 else [*numeric, *listed])


def _operators(rng: random.Random, kind: Kind[Anything], upgraded: list[RawDocument]) -> dict[str, dict[str, Any]]:
    operators: dict[str, dict[str, Any]] = {}
    for _ in range(rng.choice([1, 1, 2, 3])):
        row = rng.choice(upgraded)
        path = _path(rng, kind, row)
        name, operand = _operator(
            rng, _held(row, path.replace(".$[]", ".0").replace(".$[e]", ".0").replace(".$", ".0"))
        )
        operators.setdefault(name, {})[path] = operand
    return operators


@dataclass
class _Case:
    kind: Kind[Anything]
    low: int
    filter: Mapping[str, Any]
    operators: Mapping[str, Any]
    array_filters: Any
    translated: StoredUpdate
    rows: list[RawDocument]
    upgraded: list[RawDocument]


def _case(rng: random.Random, number: int) -> _Case | None:
    kind = _kind(rng)
    low = rng.randrange(1, kind.latest)
    rows = [{**row, "_id": number * 100 + place} for place, row in enumerate(_rows(rng, kind, low))]
    if not rows:
        return None
    upgraded = [kind.upgrade(row) for row in rows]
    for _ in range(12):
        operators = _operators(rng, kind, upgraded)
        positional = [path for fields in operators.values() for path in fields if path.endswith(".$")]
        asked = random_filter(rng, kind, upgraded) if rng.random() < 0.3 else {}
        if positional:
            asked = {**asked, positional[0].removesuffix(".$"): rng.choice([{"$exists": True}, rng.choice(SCALARS)])}
        translated = translate_update(asked, operators, kind.chain.between(low, kind.latest))
        if translated is not None and translated.operators != operators:
            named = any("$[e]" in path for fields in operators.values() for path in fields)
            array_filters = [{"e": rng.choice([{"$exists": True}, {"$ne": 1}])}] if named else None
            return _Case(kind, low, asked, operators, array_filters, translated, rows, upgraded)
    return None


async def _matching(collection: Any, filters: Iterable[Mapping[str, Any]]) -> set[Any]:
    return {row["_id"] async for row in collection.find({"$or": list(filters)}, {"_id": 1})}


async def _apply(collection: Any, updates: list[UpdateOne]) -> tuple[dict[int, Any], int, int]:
    """
    Make the updates; return the server's codes for those that it refused, and how many rows matched and were modified.
    """
    try:
        answer = (await collection.bulk_write(updates, ordered=False)).bulk_api_result
    except BulkWriteError as error:
        answer = error.details
    return {each["index"]: each["code"] for each in answer["writeErrors"]}, answer["nMatched"], answer["nModified"]


def _fields(row: RawDocument) -> dict[str, Any]:
    return {name: held for name, held in row.items() if name not in {"schema_version", "_id"}}


def _alike(first: RawDocument, second: RawDocument) -> bool:
    one, other = _fields(first), _fields(second)
    return one.keys() == other.keys() and all(identical(held, other[name]) for name, held in one.items())


def _is_lowered(kind: Kind[Anything], row: RawDocument) -> bool:
    """
    Tell whether a row is what its version makes of it after its upgrade.
    """
    try:
        return _alike(kind.lower(kind.upgrade(row), to=row["schema_version"]), row)
    except DowngradeFailedError:
        return False


@pytest.mark.timeout(600)
async def test_a_translated_update_commutes_with_the_upgrade(
    database: Any,
    thorough: bool,  # noqa: FBT001 - a fixture
    record_property: Callable[[str, object], None],
) -> None:
    told: Counter[str] = Counter()
    for batch in range(10 if thorough else 1):
        rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} translated {batch}")
        made = [_case(rng, number) for number in range(CASES * 3)]
        cases = [case for case in made if case is not None][:CASES]
        things, direct = database["things"], database["direct"]
        for collection in (things, direct):
            await collection.delete_many({})
        await things.insert_many([row for case in cases for row in case.rows])
        await direct.insert_many([row for case in cases for row in case.upgraded])
        of_case = [{"_id": {"$gte": case.rows[0]["_id"], "$lte": case.rows[-1]["_id"]}} for case in cases]

        meant = await _matching(
            things, [{"$and": [ids, case.translated.filter]} for ids, case in zip(of_case, cases, strict=True)]
        )
        matching = await _matching(
            direct, [{"$and": [ids, case.filter]} for ids, case in zip(of_case, cases, strict=True)]
        )
        chosen = [(case, row) for case in cases for row in case.rows if row["_id"] in meant]
        assert meant <= matching
        first = await _apply(
            things,
            [
                UpdateOne(
                    {"$and": [{"_id": row["_id"]}, case.translated.filter]},
                    case.translated.operators,
                    array_filters=case.array_filters,
                )
                for case, row in chosen
            ],
        )
        second = await _apply(
            direct,
            [
                UpdateOne(
                    {"$and": [{"_id": row["_id"]}, case.filter]}, case.operators, array_filters=case.array_filters
                )
                for case, row in chosen
            ],
        )
        after = {row["_id"]: row async for row in things.find()}
        expected = {row["_id"]: row async for row in direct.find()}

        # Of several paths that are refused, the server names the one that it comes to first.
        assert (first[0].keys(), first[1:]) == (second[0].keys(), second[1:])
        for case, row in chosen:
            about = (case.kind.steps, case.filter, case.operators, case.translated, row)
            now = after[row["_id"]]
            assert _alike(case.kind.upgrade(now), expected[row["_id"]]), (about, now, expected[row["_id"]])
            if RESIDUE not in row and _is_lowered(case.kind, row):
                told["seen by the older version"] += 1
                assert _is_lowered(case.kind, now), (about, now)
            told["kept something else"] += RESIDUE in row
            told.update(case.operators.keys())
        told.update(cases=len(cases), rows=len(chosen), refused=len(first[0]), modified=first[2])
    record_property("translated updates", str(dict(told)))
    assert told["modified"] > CASES
    assert min(told[name] for name in ("$set", "$unset", "$inc", "kept something else")) > 5
    assert told["seen by the older version"] > CASES
