"""
Both paths side by side: what is reported, and what is left behind.
"""

from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument
from docstore.core.operation import Operation
from docstore.errors import NotCompilableError, StoreRejectedError, UnknownVersionError
from docstore.testing import compare_paths


class Note(Document):
    """
    A model that is never asked.
    """


def note(*operations: Operation) -> Kind[Note]:
    steps = [Step(operation, to=number) for number, operation in enumerate(operations, start=2)]
    return Kind("note", collection="notes", model=Note, steps=steps)


RENAME = note(ops.RenameField("a", "b"), ops.AddField("c", 1))


async def test_rows_of_all_versions_and_shapes_are_counted(database: AsyncDatabase[RawDocument]) -> None:
    rows: list[RawDocument] = [
        {"a": 1},
        {"schema_version": None, "a": 1},
        {"schema_version": 1.0, "a": 1},
        {"schema_version": 2, "b": 1},
        {"a": 1, "b": None},
        {"b": 1},
    ]

    report = await compare_paths(database, RENAME, rows)

    # The one that Python refuses, and the one in which there is nothing to rename but the target is there.
    assert (report.rows, report.by_server, report.refused, report.differences) == (6, 4, 1, ())
    assert report.server_share == 4 / 6
    assert report.require_same() is report


async def test_a_function_that_does_not_fit_its_expression_is_found(database: AsyncDatabase[RawDocument]) -> None:
    kind = note(ops.Compute("x.n", {"$strLenBytes": "$a"}, lambda row: len(row["a"])))

    report = await compare_paths(database, kind, [{"_id": "good", "a": "abc"}, {"_id": "bad", "a": "é", "secret": 1}])

    (difference,) = report.differences
    assert difference.id == "bad"
    assert difference.version is None
    assert difference.reason == "x.n: two values of type int"
    assert difference.python is not None
    assert (difference.python["x"], difference.server["x"]) == ({"n": 1}, {"n": 2})
    with pytest.raises(AssertionError, match="1 of 2 rows differ") as caught:
        report.require_same()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "function", "reason"),
    [
        ({"$literal": 1}, lambda _: 1.0, "n: double and int"),
        ({"$literal": {"p": 1, "q": 2}}, lambda _: {"q": 2, "p": 1}, "n: fields in different orders"),
        ({"$literal": {"p": 1}}, lambda _: {}, "n: fields ['p'] are too many"),
        ({"$literal": {}}, lambda _: {"p": 1}, "n: fields ['p'] are missing"),
        ({"$literal": [1, {"p": 1}]}, lambda _: [1, {"p": 2}], "n[1].p: two values of type int"),
        ({"$literal": [1]}, lambda _: [], "n: 0 and 1 elements"),
        ({"$literal": 1}, lambda row: row["missing"], "Python refuses the row"),
    ],
)
async def test_the_reason_names_the_place(
    expression: Any, function: Any, reason: str, database: AsyncDatabase[RawDocument]
) -> None:
    report = await compare_paths(database, note(ops.Compute("n", expression, function)), [{}])

    assert report.differences[0].reason.startswith(reason)


async def test_rows_of_one_id_are_compared_one_after_the_other(database: AsyncDatabase[RawDocument]) -> None:
    rows: list[RawDocument] = [
        {"_id": 1, "a": 1},
        {"_id": 1.0, "schema_version": 2, "b": 2},
        {"_id": True},
        {"_id": 1, "a": 2},
    ]

    report = await compare_paths(database, RENAME, rows)

    assert (report.rows, report.by_server) == (4, 4)


async def test_rows_can_be_tagged_first_and_brought_down(database: AsyncDatabase[RawDocument]) -> None:
    report = await compare_paths(database, RENAME, [{"b": 1, "c": 1}, {"schema_version": 1, "b": 1}], source=3, to=1)

    assert (report.rows, report.by_server, report.refused) == (2, 2, 0)


async def test_no_rows_are_the_same(database: AsyncDatabase[RawDocument]) -> None:
    report = await compare_paths(database, RENAME, [])

    assert (report.rows, report.server_share) == (0, 1.0)


async def test_nothing_is_left_in_the_database(database: AsyncDatabase[RawDocument]) -> None:
    await compare_paths(database, RENAME, [{"a": 1}])
    failing = note(ops.Compute("n", {"$toInt": "$a"}, lambda row: int(row["a"])))
    with pytest.raises(StoreRejectedError):
        await compare_paths(database, failing, [{"a": "x"}])

    assert await database.list_collection_names() == []


async def test_a_motor_database_will_do(motor_database: AsyncIOMotorDatabase[RawDocument]) -> None:
    report = await compare_paths(motor_database, RENAME, [{"a": 1}])

    assert report.by_server == 1


async def test_what_cannot_be_compared_is_told(database: AsyncDatabase[RawDocument]) -> None:
    functions = Kind("note", collection="notes", model=Note, steps=[Step(to=2, upgrade=lambda row: row)])

    with pytest.raises(NotCompilableError):
        await compare_paths(database, functions, [{}])
    with pytest.raises(UnknownVersionError):
        await compare_paths(database, RENAME, [{"schema_version": "1"}])
