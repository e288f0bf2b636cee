"""
P11 inside the server: of the rows that a version cannot express, a compiled way down takes none.

Every row that it takes is one that Python brings down too, without loss and to the same bytes; whatever it declines is
left to Python.
"""

import os
from random import Random
from typing import Any, Final

import pytest
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import CODEC, RawDocument, comparison_key, copied, decode, encode
from docstore.core.lowering import lowered
from docstore.core.lowering_on_server import compile_down
from docstore.core.operation import Operation
from docstore.core.residue import RESIDUE
from docstore.errors import DocumentError, NotCompilableError, NotInvertibleError
from tests.operations.case import Case, odd_row
from tests.operations.cases import CASES
from tests.operations.test_same_answer import NESTED_PATHS, PATHS, SHARDS, chain_row, random_steps
from tests.operations.values import EDGES

SEED: Final = os.environ.get("DOCSTORE_TEST_SEED", "1")
PER_CASE: Final = 40
CHAINS_PER_SHARD: Final = 6
#: The share of the rows that lose nothing which must be taken, of those that the bare inverse would take: some of them
#: could not come up again inside the server.
ENOUGH: Final = 0.5


class Anything(Document):
    """
    A model that is never asked.
    """


def kind_of(*steps: tuple[Operation, ...]) -> Kind[Anything]:
    numbered = [Step(*operations, to=number) for number, operations in enumerate(steps, start=2)]
    return Kind("k", collection="k", model=Anything, steps=numbered)


def lifted(kind: Kind[Any], rows: list[RawDocument]) -> list[RawDocument]:
    """
    Return what rows of version 1 become, as far as they get there.
    """
    found = []
    for row in rows:
        try:
            found.append(kind.upgrade({"_id": 0, "schema_version": 1, **decode(encode(row))}))
        except DocumentError:
            continue
    return found


def disturbed(random: Random, kind: Kind[Any], row: RawDocument) -> RawDocument:
    """
    Return a row in which something that the steps write is another value.
    """
    changed = copied(row)
    heads = sorted({path[0] for path in kind.writes(1, kind.latest) or ()} & set(changed))
    for head in heads[: random.choice((1, 1, 2))] if heads else []:
        changed[head] = random.choice(
            [random.choice(EDGES), [changed[head]], {"a": changed[head]}, *within(random, changed[head])]
        )
    return changed


def within(random: Random, value: Any) -> list[Any]:
    """
    Return values that differ from this one somewhere inside.
    """
    if isinstance(value, dict) and value:
        name = random.choice(list(value))
        # A reference comes out of the driver with its own fields first, in whatever order they were stored.
        turned = value if "$ref" in value else {each: value[each] for each in reversed(value)}
        return [{**value, name: random.choice(EDGES)}, turned]
    if isinstance(value, list) and value:
        return [[*value, value[-1]], value[:-1], [random.choice(EDGES), *value[1:]]]
    return [-0.0, 0.0] if isinstance(value, int | float) else []


def in_python(kind: Kind[Any], row: RawDocument) -> bytes | None:
    """
    Return a row at the bottom, or None where it cannot be there, or only with a residue.
    """
    try:
        lower = lowered(kind.chain, copied(row), kind.latest, 1, ordered=False)
    except DocumentError:
        return None
    return None if RESIDUE in lower else encode(lower)


async def taken(database: AsyncDatabase[Any], kind: Kind[Any], rows: list[RawDocument]) -> tuple[int, int]:
    """
    Have a server bring rows down; return how many it took, and how many both Python and the bare way down take.
    """
    chain, bare = compile_down(kind, kind.latest, 1), kind.compile(kind.latest, to=1)
    place = database.get_collection("rows", codec_options=CODEC.with_options(document_class=RawBSONDocument))
    await place.insert_many([{**row, "_id": number} for number, row in enumerate(rows)])
    stored = [bytes(row.raw) async for row in place.find(sort=[("_id", 1)])]
    compiled = {row["_id"] async for row in place.find({"$expr": bare.condition}, {"_id": 1})}
    await place.update_many({"schema_version": kind.latest, "$expr": chain.condition}, chain.pipeline)
    after = [bytes(row.raw) async for row in place.find(sort=[("_id", 1)])]
    await place.drop()
    expected = [in_python(kind, decode(row)) for row in stored]
    changed = [number for number in range(len(rows)) if after[number] != stored[number]]
    for number in changed:
        assert after[number] == expected[number], (kind.steps, decode(stored[number]))
    return len(changed), sum(row is not None and number in compiled for number, row in enumerate(expected))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", sorted(CASES))
async def test_no_row_that_would_lose_something_is_taken_down_an_operation(
    name: str, database: AsyncDatabase[Any], *, thorough: bool
) -> None:
    count = PER_CASE * (10 if thorough else 1)
    for number, case in enumerate(CASES[name]):
        random = Random(f"{SEED} down {name} {number}")
        kind = kind_of((case.operation,))
        upper = lifted(kind, [made(random, case) for _ in range(count)])
        odd = [disturbed(random, kind, row) for row in upper]
        try:
            await taken(database, kind, [*upper, *odd])
            exact = lifted(kind, [] if case.before is None else [case.before(random) for _ in range(count)])
            done, possible = await taken(database, kind, exact) if exact else (0, 0)
        except (NotInvertibleError, NotCompilableError):
            continue
        assert done >= ENOUGH * possible, f"{case.operation!r} declines {possible - done} of {possible} rows"


def made(random: Random, case: Case) -> RawDocument:
    return decode(encode(odd_row(random, case) if random.random() < 0.3 else case.expected(random)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shard", range(SHARDS))
async def test_no_row_that_would_lose_something_is_taken_down_a_chain(
    shard: int, database: AsyncDatabase[Any], *, thorough: bool
) -> None:
    random = Random(f"{SEED} down chain {shard}")
    for _ in range(CHAINS_PER_SHARD * (10 if thorough else 1)):
        rows = [chain_row(random) for _ in range(PER_CASE)]
        kind = kind_of(*random_steps(random, rows, random.choice((PATHS, NESTED_PATHS))))
        upper = lifted(kind, rows)
        odd = [disturbed(random, kind, row) for row in upper]
        try:
            if upper:
                await taken(database, kind, [*upper, *odd])
        except (NotInvertibleError, NotCompilableError):
            continue


async def test_values_that_the_server_calls_equal_are_told_apart(database: AsyncDatabase[Any]) -> None:
    for value in EDGES:
        alike = [other for other in EDGES if comparison_key(other) == comparison_key(value)]
        if len(alike) == 1:
            continue
        for wrap in (lambda v: v, lambda v: {"a": [{"b": v}]}):
            kind = kind_of((ops.AddField("v", wrap(value)),))
            rows = [{"_id": 0, "schema_version": 2, "v": wrap(other)} for other in alike]

            done, possible = await taken(database, kind, rows)

            # Of what is no number there is more than one, and the server tells none from the others.
            no_number = isinstance(value, float | Decimal128) and "nan" in str(value).lower()
            assert done == (0 if no_number else possible)
