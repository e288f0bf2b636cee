"""
P10: a real server and Python give the same rows, byte for byte, for every operation and for random chains of them.

The documents are the same in every run. `DOCSTORE_TEST_SEED=random` makes others and says which; with that number they
come again.
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
from docstore.core.bson_values import CODEC, RawDocument, comparison_key, decode, encode
from docstore.core.operation import Operation
from docstore.core.paths import dotted
from docstore.errors import DocumentError, NotInvertibleError
from docstore.operations.conversions import CONVERSIONS
from docstore.testing import Comparison, compare_paths
from tests.operations.case import Case, odd_row
from tests.operations.cases import CASES, arbitrary_operation
from tests.operations.values import EDGES, anything, document

SEED: Final = os.environ.get("DOCSTORE_TEST_SEED", "1")
#: Documents of each sort (expected, disturbed) for each case.
PER_CASE: Final = 100
SHARDS: Final = 16
CHAINS_PER_SHARD: Final = 16
PER_CHAIN: Final = 50
#: The share of expected documents that must take the server path.
ENOUGH: Final = 0.8

#: Few names, so that the operations of a chain meet.
PATHS: Final = ["a", "b", "c", "x", "x.a", "x.b", "x.y", "x.y.a", "l", "é.a$b"]
#: Fewer still, for chains that take one document apart and put it together again.
NESTED_PATHS: Final = ["a", "x.a", "x.b", "x.y", "x.y.a", "x.y.b"]


class Anything(Document):
    """
    A model that is never asked.
    """


def kind_of(*steps: tuple[Operation, ...]) -> Kind[Anything]:
    numbered = [Step(*operations, to=number) for number, operations in enumerate(steps, start=2)]
    return Kind("k", collection="k", model=Anything, steps=numbered)


def tagged(random: Random, row: RawDocument, version: int = 1) -> RawDocument:
    """
    Return the row with the tag in one of the ways in which rows have it, anywhere in it.
    """
    tag = random.choice([version, version, Int64(version), float(version), *([..., None] if version == 1 else [])])
    if tag is ...:
        return row
    place = random.randrange(len(row) + 1)
    items = [*row.items()]
    return dict([*items[:place], ("schema_version", tag), *items[place:]])


async def same(database: Any, kind: Kind[Any], rows: list[RawDocument], **options: Any) -> Comparison:
    result = await compare_paths(database, kind, rows, **options)
    if result.differences:
        one = min(result.differences, key=lambda difference: len(repr(difference.before)))
        facts = [f"DOCSTORE_TEST_SEED={SEED}", one.reason, *kind.steps, "before, python, server:"]
        pytest.fail("\n".join(map(str, [*facts, one.before, one.python, one.server])))
    return result


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", sorted(CASES))
async def test_server_and_python_agree_when_an_operation_meets_expected_and_odd_rows(
    name: str,
    database: AsyncDatabase[RawDocument],
    thorough: bool,  # noqa: FBT001 - a fixture
    record_property: Callable[[str, object], None],
) -> None:
    count = PER_CASE * (10 if thorough else 1)
    rows = taken = 0
    for number, case in enumerate(CASES[name]):
        random = Random(f"{SEED} {name} {number}")
        kind = kind_of((case.operation,))
        expected = [tagged(random, case.expected(random)) for _ in range(count)]
        odd = [tagged(random, odd_row(random, case)) for _ in range(count)]
        result = await same(database, kind, expected)
        assert result.server_share >= ENOUGH, f"{case.operation!r} declines {1 - result.server_share:.0%}"
        await same(database, kind, odd)
        rows, taken = rows + result.rows, taken + result.by_server
        await same_way_back(database, kind, [*expected, *odd])
    record_property("server path", f"{name}: {taken / rows:.0%} of {rows} expected rows")


async def same_way_back(database: AsyncDatabase[RawDocument], kind: Kind[Any], rows: list[RawDocument]) -> None:
    """
    Compare the way down, where there is one.
    """
    lifted: list[RawDocument] = []
    for row in rows:
        try:
            lifted.append(kind.upgrade({"_id": len(lifted), **decode(encode(row))}))
        except DocumentError:
            continue
    try:
        await same(database, kind, lifted, to=1)
    except NotInvertibleError:
        return


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shard", range(SHARDS))
async def test_server_and_python_agree_when_random_operations_are_chained(
    shard: int,
    database: AsyncDatabase[RawDocument],
    thorough: bool,  # noqa: FBT001 - a fixture
    record_property: Callable[[str, object], None],
) -> None:
    random = Random(f"{SEED} chain {shard}")
    rows_taken = rows_accepted = 0
    chains = CHAINS_PER_SHARD * (10 if thorough else 1)
    for _ in range(chains):
        paths = random.choice((PATHS, NESTED_PATHS))
        rows = [chain_row(random) for _ in range(PER_CHAIN)]
        kind = kind_of(*random_steps(random, rows, paths))
        result = await same(database, kind, [tagged(random, row) for row in rows])
        rows_taken, rows_accepted = rows_taken + result.by_server, rows_accepted + result.rows - result.refused
        await same_way_back(database, kind, rows)
        middle = random.randrange(1, kind.latest)
        await same(database, kind, [tagged(random, row, middle) for row in rows], to=kind.latest)
    share = rows_taken / rows_accepted
    record_property(
        "server path", f"random chains, part {shard:2}: {share:.0%} of {rows_accepted} rows that can be upgraded"
    )
    assert share > 0.1


def chain_row(random: Random) -> RawDocument:
    """
    Return a row over the names in `PATHS`, most of it as operations like it.
    """

    def value(depth: int) -> Any:
        dice = random.random()
        if dice < 0.25:
            return random.choice(["a", "a b", "é a b", "$a", "12", "b"])
        if dice < 0.4:
            return random.choice([0, 1, 2.5, -7, Int64(5), True])
        if dice < 0.6 and depth:
            return {name: value(depth - 1) for name in random.sample("abcy", random.randrange(4))}
        if dice < 0.75 and depth:
            return [fields(depth - 1) for _ in range(random.randrange(3))]
        return anything(random) if dice < 0.85 else None

    def fields(depth: int) -> RawDocument:
        return {name: value(depth) for name in random.sample(["a", "b", "y", "m", "c"], random.randrange(4))}

    makers: dict[str, Callable[[], Any]] = {
        "a": lambda: value(1),
        "b": lambda: value(1),
        "c": lambda: value(1),
        "x": lambda: fields(2) if random.random() < 0.8 else value(2),
        "l": lambda: [fields(1) for _ in range(random.randrange(4))] if random.random() < 0.8 else value(2),
        "é": lambda: {"a$b": value(1)},
        "other": lambda: document(random),
    }
    names = random.sample(list(makers), random.randrange(1, len(makers) + 1))
    return {name: makers[name]() for name in names}


def random_steps(random: Random, rows: list[RawDocument], paths: list[str]) -> list[tuple[Operation, ...]]:
    """
    Return one to five steps of operations that each leave enough of the rows, so that chains get far.
    """
    alive = [decode(encode(row)) for row in rows]
    enough = random.choice((0.8, 0.8, 0.5, 0.2))
    steps: list[tuple[Operation, ...]] = []
    recent: list[str] = []
    for _ in range(random.randrange(1, 6)):
        operations = []
        for _ in range(random.randrange(1, 4)):
            operation, alive = random_operation(random, alive, paths + recent, enough)
            operations.append(operation)
            # What was just written is what later conditions must see as it will be by then.
            recent = [dotted(path) for path in sorted(operation.writes) if path != ("l",)] * 2 + recent[:2]
        steps.append(tuple(operations))
    return steps


def random_operation(
    random: Random, rows: list[RawDocument], paths: list[str], enough: float
) -> tuple[Operation, list[RawDocument]]:
    while True:
        operation = arbitrary_operation(random, paths)
        survivors = []
        for row in rows:
            try:
                survivors.append(operation.apply(row))
            except DocumentError:
                continue
        if len(survivors) >= enough * len(rows) or random.random() < 0.02:
            return operation, survivors


@pytest.mark.parametrize("to", list(CONVERSIONS), ids=lambda to: to.__name__)
async def test_server_and_python_convert_every_edge_value_alike(to: type, database: AsyncDatabase[RawDocument]) -> None:
    rows: list[RawDocument] = [{"v": value} for value in EDGES]

    for on_error in ("refuse", ops.Value("$bad")):
        operation = ops.ConvertType("v", to, on_error)
        result = await same(database, kind_of((operation,)), rows)
        assert result.by_server > 3


async def test_server_and_python_call_the_same_values_equal(database: AsyncDatabase[RawDocument]) -> None:
    nested = [make(value) for value in EDGES for make in (lambda v: [v], lambda v: {"a": v, "b": 1})]
    alike = [{"b": 1, "a": 1}, {"a": 1}, {"a": 1, "b": 1, "c": 1}, [1, 1], [[1]], [None], {"a": None}, {}, []]
    every = [*EDGES, *nested, *alike]
    rows = database.get_collection("values", codec_options=CODEC)
    await rows.insert_many([{"_id": number, "v": value} for number, value in enumerate(every)])

    equal = {"$map": {"input": {"$literal": every}, "as": "w", "in": {"$eq": ["$v", "$$w"]}}}
    answers = [row async for row in await rows.aggregate([{"$sort": {"_id": 1}}, {"$project": {"equal": equal}}])]

    keys = [comparison_key(value) for value in every]
    for answer, key, value in zip(answers, keys, every, strict=True):
        found = [other for other, same_value in zip(every, answer["equal"], strict=True) if same_value]
        expected = [other for other, other_key in zip(every, keys, strict=True) if other_key == key]
        assert encode({"": found}) == encode({"": expected}), value


def test_every_exported_operation_is_compared() -> None:
    exported = {name for name in ops.__all__ if hasattr(getattr(ops, name), "compile")}

    assert set(CASES) == exported
    assert exported == set(ops.__all__) - {"Value"}


def test_enough_documents_are_compared() -> None:
    cases: list[Case] = [case for cases in CASES.values() for case in cases]

    assert len(cases) * 2 * PER_CASE + SHARDS * CHAINS_PER_SHARD * PER_CHAIN >= 20_000
