"""
The laws of the operation protocol, for every operation.
"""

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docstore.core.bson_values import RawDocument, decode, encode, identical
from docstore.core.operation import Operation
from docstore.core.paths import MISSING, FieldPath, lookup
from docstore.errors import OperationRefusedError
from docstore.testing.round_trip import ordered
from tests.operations.case import Case
from tests.operations.cases import CASES
from tests.strategies import ALL_CASES, INVERTIBLE_CASES, rows_before, rows_for, values

#: There are many cases, so each takes a share of the examples of the profile.
FEW: Final = settings().max_examples // 5


def outcome(operation: Operation, row: RawDocument) -> RawDocument | None:
    try:
        return operation.apply(row)
    except OperationRefusedError:
        return None


def without(document: Any, paths: list[FieldPath]) -> Any:
    """
    Return the document without what is at the paths, and without documents that this leaves empty.
    """
    left = {}
    for name, value in document.items():
        inner = [path[1:] for path in paths if path[0] == name]
        if () in inner:
            continue
        kept = without(value, inner) if inner and isinstance(value, dict) else value
        if inner and kept == {}:
            continue
        left[name] = kept
    return left


def containers(value: Any) -> list[int]:
    """
    Return the identity of every list and document in a value.
    """
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return [id(value), *(found for item in items for found in containers(item))]
    return []


by_case = pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: repr(case.operation)[:80])


@by_case
@given(data=st.data())
@settings(max_examples=FEW)
def test_apply_never_changes_its_argument(case: Case, data: st.DataObject) -> None:
    row = data.draw(rows_for(case))
    before = encode(row)

    outcome(case.operation, row)

    assert encode(row) == before


@by_case
@given(data=st.data())
@settings(max_examples=FEW)
def test_no_container_stands_in_two_places(case: Case, data: st.DataObject) -> None:
    row = data.draw(rows_for(case))
    first, second = (outcome(case.operation, decode(encode(row))) for _ in range(2))

    if first is not None and second is not None:
        found = containers(first) + containers(second)
        assert len(found) == len(set(found))


@by_case
@given(data=st.data())
@settings(max_examples=FEW)
def test_only_what_it_writes_changes(case: Case, data: st.DataObject) -> None:
    row = data.draw(rows_for(case))
    result = outcome(case.operation, row)

    if result is not None:
        paths = sorted(case.operation.writes)
        assert identical(ordered(without(row, paths)), ordered(without(result, paths)))


@by_case
@given(data=st.data())
@settings(max_examples=FEW)
def test_the_outcome_depends_on_nothing_but_what_it_reads(case: Case, data: st.DataObject) -> None:
    row = data.draw(rows_for(case))
    known = {path[0] for path in case.operation.reads | case.operation.writes if path}
    if () in case.operation.reads:
        known |= set(row)
    others = data.draw(st.dictionaries(st.sampled_from(["u", "v", "other0"]), values))
    second = {**others, **{name: row[name] for name in row if name in known}}

    first_result, second_result = outcome(case.operation, row), outcome(case.operation, second)

    assert (first_result is None) == (second_result is None)
    if first_result is not None and second_result is not None:
        for path in case.operation.writes:
            found, expected = lookup(second_result, path), lookup(first_result, path)
            assert (found is MISSING) == (expected is MISSING)
            assert found is MISSING or identical(found, expected)


@pytest.mark.parametrize("case", INVERTIBLE_CASES, ids=lambda case: repr(case.operation)[:80])
@given(data=st.data())
@settings(max_examples=FEW)
def test_the_inverse_gives_back_the_row(case: Case, data: st.DataObject) -> None:
    row = data.draw(rows_before(case))

    back = case.operation.invert().apply(case.operation.apply(row))

    assert identical(ordered(decode(encode(back))), ordered(row))


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_operation_has_cases_with_an_exact_inverse(name: str) -> None:
    assert any(case.before is not None for case in CASES[name])
