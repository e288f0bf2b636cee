"""
A view shows every row as `Kind.upgrade` and `Kind.downgrade` give it: random chains, random rows of every version.
"""

import os
from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest
from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.commands import views_sync
from docstore.core.bson_values import CODEC, RawDocument, decode, encode, identical
from docstore.core.view_pipeline import view_pipeline
from docstore.errors import DefinitionError, DocumentError, ViewRefusedError
from tests.operations.cases import CASES
from tests.operations.test_same_answer import NESTED_PATHS, PATHS, chain_row, random_steps

SEED: Final = os.environ.get("DOCSTORE_TEST_SEED", "1")
SHARDS: Final = 4
CHAINS_PER_SHARD: Final = 12
ROWS: Final = 40


class Anything(Document):
    """
    A model that is never asked.
    """


def kind_of(*steps: Step) -> Kind[Anything]:
    return Kind("thing", collection="things", model=Anything, steps=steps)


def tagged(random: Random, row: RawDocument, version: int) -> RawDocument:
    tag = random.choice([version, version, Int64(version), float(version), *([..., None] if version == 1 else [])])
    return row if tag is ... else {**row, "schema_version": tag}


def brought(kind: Kind[Any], row: RawDocument, version: int) -> RawDocument | None:
    """
    Return the row at a version, as Python has it; None where a step refuses it.
    """
    try:
        stands_at = kind.version(row)
        return kind.upgrade(row, to=version) if stands_at <= version else kind.downgrade(row, to=version)
    except DocumentError:
        return None


async def shown(database: AsyncDatabase[RawDocument], kind: Kind[Any], version: int) -> dict[Any, RawDocument]:
    await views_sync(database, kind, versions=[version])
    view = database.get_collection(f"things_v{version}", codec_options=CODEC)
    return {row["_id"]: row async for row in view.find({})}


def same_fields(first: RawDocument, second: RawDocument) -> bool:
    """
    Tell whether two rows hold the same fields; their order is the same but for fields that come back.
    """
    return first.keys() == second.keys() and all(identical(value, second[name]) for name, value in first.items())


async def compared(
    database: AsyncDatabase[RawDocument], kind: Kind[Any], rows: list[RawDocument], version: int
) -> tuple[int, int]:
    """
    Compare the view of a version with Python; return how many rows it showed at it, and how many Python could bring.
    """
    seen = await shown(database, kind, version)
    assert len(seen) == len(rows)
    at_version = possible = 0
    for row in rows:
        expected, found = brought(kind, row, version), seen[row["_id"]]
        possible += expected is not None
        if found.get("schema_version") == version:
            assert expected is not None, (kind.steps, row, found)
            assert same_fields(found, expected), (kind.steps, row, found, expected)
            at_version += 1
        else:
            # What the server does not bring there is shown as it is, under the tag that it has.
            assert identical(found, row), (kind.steps, row, found)
    return at_version, possible


@pytest.mark.timeout(300)
@pytest.mark.parametrize("shard", range(SHARDS))
async def test_a_view_shows_what_python_gives_when_chains_and_rows_are_random(
    shard: int, database: AsyncDatabase[RawDocument], record_property: Callable[[str, object], None]
) -> None:
    random = Random(f"{SEED} views {shard}")
    taken = brought_in_python = 0
    for _ in range(CHAINS_PER_SHARD):
        rows = [chain_row(random) for _ in range(ROWS)]
        operations = random_steps(random, rows, random.choice((PATHS, NESTED_PATHS)))
        kind = kind_of(*(Step(*step, to=number) for number, step in enumerate(operations, start=2)))
        stored = [spread(random, kind, number, row) for number, row in enumerate(rows)]
        await database["things"].drop()
        await database.get_collection("things", codec_options=CODEC).insert_many(stored)
        for version in {kind.latest, random.randrange(1, kind.latest + 1)}:
            try:
                view_pipeline(kind, version)
            except ViewRefusedError:
                continue
            at_version, possible = await compared(database, kind, stored, version)
            taken, brought_in_python = taken + at_version, brought_in_python + possible
    share = taken / brought_in_python
    record_property(
        "views", f"part {shard}: {share:.0%} of {brought_in_python} rows that Python can bring are shown so"
    )
    assert share > 0.3


def spread(random: Random, kind: Kind[Any], number: int, row: RawDocument) -> RawDocument:
    """
    Return a row of a random version: what the steps make of a row of version 1, where they can, else the row itself.
    """
    version = random.randrange(1, kind.latest + 1)
    row = decode(encode({"_id": number, **row}))
    row.pop("schema_version", None)
    try:
        made = kind.upgrade({**row, "schema_version": 1}, to=version)
    except DocumentError:
        made = row
    made.pop("schema_version", None)
    return tagged(random, made, version)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(CASES))
async def test_a_view_shows_what_python_gives_for_every_operation_up_and_down(
    name: str, database: AsyncDatabase[RawDocument]
) -> None:
    for number, case in enumerate(CASES[name]):
        random = Random(f"{SEED} {name} {number}")
        kind = kind_of(Step(case.operation, to=2))
        rows = [spread(random, kind, place, case.expected(random)) for place in range(ROWS)]
        await database["things"].drop()
        await database.get_collection("things", codec_options=CODEC).insert_many(rows)
        at_version, possible = await compared(database, kind, rows, 2)
        assert at_version >= 0.8 * possible
        try:
            view_pipeline(kind, 1)
        except (ViewRefusedError, DefinitionError):
            continue
        await compared(database, kind, rows, 1)


async def test_fields_keep_their_order_when_none_comes_back(database: AsyncDatabase[RawDocument]) -> None:
    kind = kind_of(
        Step(ops.RenameField("zip", "address.postcode"), to=2),
        Step(ops.AddField("status", "new"), ops.WrapInList("name"), to=3),
    )
    rows: list[RawDocument] = [
        {"_id": 1, "zip": "1010", "name": "a", "address": {"city": "Wien"}},
        {"_id": 2, "schema_version": 1, "name": "b", "zip": "1020"},
        {"schema_version": 2, "_id": 3, "status": "old", "name": "c", "address": {"postcode": "1030"}},
        {"_id": 4, "name": ["d"], "status": None, "schema_version": 3.0},
    ]
    await database["things"].insert_many(rows)
    for version in (1, 2, 3):
        seen = await shown(database, kind, version)
        for row in rows:
            expected = brought(kind, row, version)
            assert expected is not None
            assert encode(seen[row["_id"]]) == encode(expected)
