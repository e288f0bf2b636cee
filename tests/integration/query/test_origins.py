"""
A filter that went back through an operation matches exactly the rows whose form after the operation it matches.

The fifth law of operations: for every one of them, and for rows of every type of value on the edges of what it takes.
"""

import os
import random
from typing import Any, Final

import pytest
from pymongo.errors import OperationFailure

from docstore import Step
from docstore.core.bson_values import RawDocument, encode
from docstore.core.operation import Operation
from docstore.core.paths import MISSING, lookup
from docstore.core.translation import translate
from docstore.errors import OperationRefusedError
from docstore.mongo.driver import open_collection
from tests.operations.case import Case, odd_row
from tests.operations.cases import CASES
from tests.random_kinds import SCALARS, random_condition

ROWS: Final = 80
FILTERS: Final = 40


def taken(rng: random.Random, case: Case, operation: Operation) -> list[tuple[RawDocument, RawDocument]]:
    """
    Return rows before and after the operation.
    """
    pairs: list[tuple[RawDocument, RawDocument]] = []
    for number in range(ROWS * 5):
        if len(pairs) == ROWS:
            break
        row = case.expected(rng) if rng.random() < 0.4 else odd_row(rng, case)
        row = {"_id": number, **{name: held for name, held in row.items() if name != "_id"}}
        try:
            after = operation.apply(row)
            encode(row)
        except OperationRefusedError:
            continue
        pairs.append((row, after))
    return pairs


def asked(rng: random.Random, operation: Operation, after: RawDocument) -> RawDocument:
    path = rng.choice(sorted(operation.reads | operation.writes))
    if rng.random() < 0.35:
        path = (*path, rng.choice(["a", "b", "x", "0", "1", "code", "k"]))
    elif rng.random() < 0.15:
        path = path[:1]
    held = lookup(after, path)
    if held is MISSING:
        held = rng.choice(SCALARS)
    elif isinstance(held, list) and held and rng.random() < 0.5:
        held = rng.choice(held)
    question = {".".join(path): random_condition(rng, held)}
    return rng.choice([question, question, {"$nor": [question]}])


@pytest.mark.timeout(180)  # seconds: some operations have a dozen forms
@pytest.mark.parametrize("name", sorted(CASES))
async def test_a_filter_means_the_same_before_and_after_an_operation(database: Any, name: str) -> None:
    rng = random.Random(f"{os.environ['DOCSTORE_TEST_SEED']} {name}")
    compared = 0
    stored = {side: open_collection(database, side) for side in ("before", "after")}
    for case in CASES[name]:
        pairs = taken(rng, case, case.operation)
        assert len(pairs) > ROWS / 4
        for side, rows in zip(stored.values(), zip(*pairs, strict=True), strict=True):
            await side.delete_many({})
            await side.insert_many(rows)
        for _ in range(FILTERS):
            question = asked(rng, case.operation, rng.choice(pairs)[1])
            try:
                wanted = {row["_id"] async for row in stored["after"].find(question, {"_id": 1})}
            except OperationFailure:
                # Made of a stored value that is no condition, a document with a dollar for example.
                continue
            found = translate(question, [Step(case.operation, to=2)])
            matching = {row["_id"] async for row in stored["before"].find(found.filter, {"_id": 1})}
            wrong = wanted ^ matching if found.exact else wanted - matching
            assert [pair for pair in pairs if pair[0]["_id"] in wrong] == [], (case.operation, question, found)
            compared += 1
    assert compared > FILTERS * len(CASES[name]) / 2
