from typing import Any

import pytest

from docstore import operations as ops
from docstore.errors import NotInvertibleError, OperationRefusedError
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

LINES = ops.ForEach("lines", ops.RenameField("qty", "quantity"), ops.AddField("unit", "pcs"))


def test_every_element_is_changed() -> None:
    gives(
        LINES,
        {"lines": [{"qty": 2}, {"qty": None, "unit": "kg"}, {}], "n": 1},
        {"lines": [{"quantity": 2, "unit": "pcs"}, {"unit": "kg", "quantity": None}, {"unit": "pcs"}], "n": 1},
    )


def test_lists_within_elements_are_reached_by_another() -> None:
    nested = ops.ForEach("x.a", ops.ForEach("b.c", ops.RemoveField("d")))

    gives(nested, {"x": {"a": [{"b": {"c": [{"d": 1, "e": 2}]}}, {}]}}, {"x": {"a": [{"b": {"c": [{"e": 2}]}}, {}]}})


@pytest.mark.parametrize("row", [{}, {"lines": None}, {"lines": []}])
def test_nothing_happens_without_elements(row: dict[str, object]) -> None:
    leaves(LINES, row)


@pytest.mark.parametrize(("item", "found"), [(None, "null"), (1, "int"), ([], "array")])
def test_an_element_that_is_no_document_is_refused(item: object, found: str) -> None:
    refuses(LINES, {"lines": [{}, item]}, "lines", found, "object as every element")


def test_anything_but_a_list_is_refused() -> None:
    refuses(LINES, {"lines": {"qty": 1}}, "lines", "object", "array")


def test_a_refusal_within_names_the_path_from_the_row() -> None:
    with pytest.raises(OperationRefusedError) as caught:
        LINES.apply({"lines": [{"qty": 1, "quantity": 2}]})

    assert caught.value.operation == "RenameField"
    assert caught.value.path == "lines.quantity"


def test_the_argument_stays_as_it_is() -> None:
    row = {"lines": [{"qty": 2, "x": {"y": 1}}]}
    ops.ForEach("lines", ops.RemoveField("x.y"), *LINES.operations).apply(row)

    assert row == {"lines": [{"qty": 2, "x": {"y": 1}}]}


def test_the_inverse_undoes_the_operations_in_reverse() -> None:
    comes_back(LINES, {"lines": [{"qty": 2}, {}]})
    assert LINES.invert() == ops.ForEach(
        "lines", ops.RemoveField("unit", default="pcs"), ops.RenameField("quantity", "qty")
    )
    with pytest.raises(NotInvertibleError):
        ops.ForEach("lines", ops.RemoveField("a")).invert()


def test_impossible_arguments_are_refused() -> None:
    name: Any = "a"
    invalid(lambda: ops.ForEach("lines"), "was given no operations")
    invalid(lambda: ops.ForEach("lines", name), "takes operations only")


def test_it_is_shown_as_it_was_typed() -> None:
    assert repr(ops.ForEach("l", ops.WrapInList("a"))) == "ForEach('l', WrapInList(path='a'))"
