import pytest
from bson.dbref import DBRef

from docstore import operations as ops
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

ZIP = ops.RenameField("zip", "postcode")
MOVED = ops.RenameField("zip", "address.postcode")


@pytest.mark.parametrize("value", [None, "1010", [], {"$a": 1}])
def test_a_present_field_gets_the_new_name_at_the_end(value: object) -> None:
    gives(ZIP, {"zip": value, "city": "Wien"}, {"city": "Wien", "postcode": value})


def test_a_field_moves_into_and_out_of_sub_documents() -> None:
    gives(MOVED, {"zip": "1010", "address": {"city": "Wien"}}, {"address": {"city": "Wien", "postcode": "1010"}})
    gives(MOVED, {"zip": "1010"}, {"address": {"postcode": "1010"}})
    gives(MOVED.invert(), {"address": {"postcode": "1010"}}, {"address": {}, "zip": "1010"})
    gives(ops.RenameField("x.a", "x.b"), {"x": {"a": 1, "c": 2}}, {"x": {"c": 2, "b": 1}})


@pytest.mark.parametrize("row", [{}, {"address": None}, {"address": 1}, {"postcode": 1}])
def test_a_missing_source_leaves_the_row_alone(row: dict[str, object]) -> None:
    leaves(ZIP, row)
    leaves(MOVED, row)


@pytest.mark.parametrize("row", [{}, {"x": None}, {"x": {}}])
def test_a_missing_or_null_parent_of_the_source_holds_nothing(row: dict[str, object]) -> None:
    leaves(ops.RenameField("x.a", "b"), row)


@pytest.mark.parametrize(("there", "found"), [(None, "null"), (1, "int"), ({}, "object")])
def test_a_present_target_is_refused(there: object, found: str) -> None:
    refuses(ZIP, {"zip": 1, "postcode": there}, "postcode", found, "missing")
    refuses(MOVED, {"zip": 1, "address": {"postcode": there}}, "address.postcode", found, "missing")


@pytest.mark.parametrize(("parent", "found"), [(None, "null"), ([], "array"), ("a", "string")])
def test_a_value_is_not_lost_under_an_impossible_parent(parent: object, found: str) -> None:
    refuses(MOVED, {"zip": 1, "address": parent}, "address", found, "object")


def test_an_array_above_the_source_is_refused() -> None:
    refuses(ops.RenameField("x.a", "b"), {"x": [{"a": 1}]}, "x", "array", "object")


def test_a_reference_is_a_document_like_any_other() -> None:
    gives(ops.RenameField("a", "x.b"), {"x": DBRef("c", 1), "a": 2}, {"x": {"$ref": "c", "$id": 1, "b": 2}})


def test_the_inverse_moves_it_back() -> None:
    comes_back(ZIP, {"zip": None, "city": "Wien"})
    comes_back(MOVED, {"zip": "1010", "address": {}})
    assert MOVED.invert() == ops.RenameField("address.postcode", "zip")


@pytest.mark.parametrize(("source", "target"), [("a", "a"), ("a", "a.b"), ("a.b", "a")])
def test_overlapping_paths_are_refused(source: str, target: str) -> None:
    invalid(lambda: ops.RenameField(source, target), f"cannot use both '{source}' and '{target}': they overlap")
