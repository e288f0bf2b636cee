"""
Operations and steps as data: every one that holds no Python comes back as it was, and the others are refused by name.
"""

import datetime
from typing import Any

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docstore import Step
from docstore import operations as ops
from docstore.core.bson_values import CODEC, RawDocument, encode, identical
from docstore.core.fingerprint import step_fingerprint
from docstore.core.operation import FieldOperation, Operation
from docstore.errors import NotPublishableError, OperationRefusedError, RecordFormatError
from docstore.operations.as_data import operation_data, operation_of
from docstore.operations.published_step import STEP_FORMAT, published_step, step_data
from tests.changed_rows import values
from tests.operations.case import Case
from tests.strategies import ALL_CASES, rows_for

#: How records are read: dates have a time zone there.
RECORDS = CODEC.with_options(tz_aware=True, tzinfo=datetime.UTC)


def stored(data: dict[str, Any]) -> dict[str, Any]:
    return bson.decode(bson.encode(data, codec_options=RECORDS), codec_options=RECORDS)


def holds_python(operation: Operation) -> bool:
    inner = [getattr(operation, "restore", None), getattr(operation, "inverse", None)]
    inner += getattr(operation, "operations", ())
    return isinstance(operation, ops.Compute) or any(one is not None and holds_python(one) for one in inner)


def outcome(operation: Operation, row: RawDocument) -> bytes | None:
    try:
        return encode(operation.apply(row))
    except OperationRefusedError:
        return None


def loud(row: RawDocument) -> RawDocument:
    return {**row, "loud": True}


PUBLISHABLE = [case for case in ALL_CASES if not holds_python(case.operation)]
WITH_PYTHON = [case for case in ALL_CASES if holds_python(case.operation)]


def test_there_are_cases_of_every_operation() -> None:
    assert {type(case.operation).__name__ for case in PUBLISHABLE} == set(ops.__all__) - {"Compute", "Value"}


@pytest.mark.parametrize("case", PUBLISHABLE, ids=lambda case: repr(case.operation)[:80])
@given(data=st.data())
@settings(max_examples=10)
def test_an_operation_comes_back_from_the_database_as_it_was(case: Case, data: st.DataObject) -> None:
    again = operation_of(stored(operation_data(case.operation)))

    assert again == case.operation
    assert step_fingerprint(Step(again, to=2)) == step_fingerprint(Step(case.operation, to=2))
    row = data.draw(rows_for(case))
    assert outcome(again, row) == outcome(case.operation, row)


@given(value=values)
def test_a_value_of_any_type_comes_back_as_the_same_bson(value: Any) -> None:
    again = operation_of(stored(operation_data(ops.AddField("a", value))))

    assert isinstance(again, ops.AddField)
    assert identical(again.default, ops.AddField("a", value).default)


@pytest.mark.parametrize("case", WITH_PYTHON, ids=lambda case: repr(case.operation)[:80])
def test_what_holds_python_is_refused_by_name(case: Case) -> None:
    with pytest.raises(NotPublishableError) as refused:
        operation_data(case.operation)

    assert refused.value.operation == "Compute"
    assert refused.value.argument in {"python", "inverse"}


def test_an_operation_of_somebodys_own_is_refused_by_name() -> None:
    class Shout(FieldOperation):
        pass

    with pytest.raises(NotPublishableError, match="Shout is no data: it is none of docstore's own"):
        operation_data(Shout())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"operation": "Fold", "arguments": {}}, "Fold is no data: this release of docstore does not know it"),
        ({"operation": "AddField", "arguments": {"path": "a", "default": 1, "quick": True}}, "'quick'"),
        ({"operation": "AddField", "arguments": {"path": "a"}}, "does not take its arguments: TypeError"),
        ({"operation": "AddField", "arguments": {"path": "", "default": 1}}, "InvalidFieldPathError"),
        ({"operation": "ConvertType", "arguments": {"path": "a", "to": {"type": "complex"}}}, "KeyError"),
        ({"operation": "AddField", "arguments": {"path": "a", "default": {"code": "x"}}}, "ValueError"),
        ({"operation": "Value", "arguments": {"value": 1}}, "does not know it"),
    ],
)
def test_what_this_release_does_not_know_is_refused_by_name(data: dict[str, Any], words: str) -> None:
    with pytest.raises(NotPublishableError) as refused:
        operation_of(data)

    assert words in str(refused.value)


def test_a_step_comes_back_with_its_fingerprint() -> None:
    step = Step(ops.RenameField("a", "b"), ops.AddField("c", {"$d": [1, None]}), to=3, summary="Rename a.")

    again = published_step(stored(step_data("thing", step)))

    assert again.step is not None
    assert (again.kind, again.to, again.step.to, again.step.summary) == ("thing", 3, 3, "Rename a.")
    assert again.step.operations == step.operations
    assert again.fingerprint == step_fingerprint(again.step) == step_fingerprint(step)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Step(upgrade=loud, to=2), "it is made of Python functions"),
        (
            Step(ops.AddField("a", 1), ops.Compute("b", {"$add": ["$a", 1]}, lambda row: row["a"] + 1), to=2),
            "Compute (argument 'python') is no data: it holds a Python function",
        ),
        (Step(ops.RemoveField("a"), to=2), "it has no way back"),
    ],
)
def test_a_step_that_others_cannot_run_says_why(step: Step, reason: str) -> None:
    published = published_step(stored(step_data("thing", step)))

    assert published.step is None
    assert published.reason == reason
    assert published.fingerprint == step_fingerprint(step)


def test_a_step_that_means_something_else_here_is_not_run() -> None:
    data = step_data("thing", Step(ops.RenameField("a", "b"), to=2))
    data["operations"] = step_data("thing", Step(ops.RenameField("a", "c"), to=2))["operations"]

    assert published_step(data).step is None


@pytest.mark.parametrize("number", [STEP_FORMAT + 1, 0, None, "1"])
def test_a_format_that_is_not_known_is_refused(number: Any) -> None:
    data = {**step_data("thing", Step(ops.RenameField("a", "b"), to=2)), "format": number}

    with pytest.raises(RecordFormatError) as refused:
        published_step(data)

    assert (refused.value.record, refused.value.found, refused.value.known) == ("step thing 2", number, STEP_FORMAT)


def test_fields_that_the_next_release_adds_are_passed_over() -> None:
    data = {**step_data("thing", Step(ops.RenameField("a", "b"), to=2)), "weight": 3}

    assert published_step(data).step is not None
