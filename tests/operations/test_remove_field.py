import pytest

from docstore import operations as ops
from docstore.errors import NotInvertibleError
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses


@pytest.mark.parametrize("value", [None, 1, [], {"$a": 1}])
def test_a_present_field_is_removed_whatever_it_holds(value: object) -> None:
    gives(ops.RemoveField("draft"), {"draft": value, "title": "a"}, {"title": "a"})


def test_the_parent_stays_even_if_it_is_empty() -> None:
    gives(ops.RemoveField("x.draft"), {"x": {"draft": 1}}, {"x": {}})


@pytest.mark.parametrize("row", [{}, {"x": None}, {"x": {}}, {"x": {"y": 1}}])
def test_a_missing_field_is_no_fault(row: dict[str, object]) -> None:
    leaves(ops.RemoveField("x.draft"), row)


def test_an_array_or_a_scalar_as_parent_is_refused() -> None:
    refuses(ops.RemoveField("x.draft"), {"x": [{"draft": 1}]}, "x", "array", "object")
    refuses(ops.RemoveField("x.draft"), {"x": True}, "x", "bool", "object")


def test_the_inverse_puts_the_default_back() -> None:
    operation = ops.RemoveField("draft", default=False)

    comes_back(operation, {"draft": False})
    assert operation.invert() == ops.AddField("draft", False)


def test_the_inverse_is_what_restore_says() -> None:
    operation = ops.RemoveField("copy", restore=ops.CopyField("kept", "copy"))

    comes_back(operation, {"copy": [1], "kept": [1]})


def test_without_default_and_restore_there_is_no_way_back() -> None:
    with pytest.raises(NotInvertibleError) as caught:
        ops.RemoveField("draft").invert()

    assert caught.value.operation == "RemoveField('draft')"
    assert "give default or restore" in caught.value.reason


def test_impossible_arguments_are_refused() -> None:
    copied = ops.CopyField("b", "a")
    invalid(lambda: ops.RemoveField("a", default=1, restore=copied), "default or restore, not both")
    invalid(lambda: ops.RemoveField("x", restore=copied), "writes 'x' alone as restore")
    invalid(lambda: ops.RemoveField("x", restore="a"), "as restore")  # type: ignore[arg-type]
    invalid(lambda: ops.RemoveField("x", default={1}), "cannot use set as default")
