import pytest

from docstore import operations as ops
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

COPY = ops.CopyField("email", "contact.email")


@pytest.mark.parametrize("value", [None, "a@b.at", [1], {"$a": 1}])
def test_a_present_field_is_copied(value: object) -> None:
    gives(COPY, {"email": value}, {"email": value, "contact": {"email": value}})


@pytest.mark.parametrize("row", [{}, {"contact": 1}, {"contact": {"email": 1}}])
def test_a_missing_source_leaves_the_row_alone(row: dict[str, object]) -> None:
    leaves(COPY, row)


def test_a_present_target_is_refused() -> None:
    refuses(COPY, {"email": 1, "contact": {"email": None}}, "contact.email", "null", "missing")


@pytest.mark.parametrize(("parent", "found"), [(None, "null"), ([], "array"), (1.5, "double")])
def test_an_impossible_parent_of_the_target_is_refused(parent: object, found: str) -> None:
    refuses(COPY, {"email": 1, "contact": parent}, "contact", found, "object")


def test_the_copy_shares_nothing_with_the_original() -> None:
    copied = ops.CopyField("a", "b").apply({"a": [{"x": []}]})
    copied["b"][0]["x"].append(1)

    assert copied["a"] == [{"x": []}]


def test_the_inverse_removes_the_copy_and_can_be_inverted_itself() -> None:
    comes_back(COPY, {"email": 1, "contact": {}})
    assert COPY.invert().invert() == COPY


def test_overlapping_paths_are_refused() -> None:
    invalid(lambda: ops.CopyField("a", "a.b"), "they overlap")
