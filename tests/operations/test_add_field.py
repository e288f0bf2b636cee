import datetime

import pytest

from docstore import operations as ops
from docstore.errors import InvalidFieldPathError
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

STATUS = ops.AddField("status", "new")
NESTED = ops.AddField("x.y.z", [1])


def test_a_missing_field_is_added_at_the_end() -> None:
    gives(STATUS, {"title": "a"}, {"title": "a", "status": "new"})


def test_missing_parents_are_created() -> None:
    gives(NESTED, {"x": {"a": 1}}, {"x": {"a": 1, "y": {"z": [1]}}})
    gives(NESTED, {}, {"x": {"y": {"z": [1]}}})


@pytest.mark.parametrize("value", [None, "old", [], {"$a": 1}])
def test_a_present_field_is_kept(value: object) -> None:
    leaves(STATUS, {"status": value, "title": "a"})


def test_a_null_parent_is_left_alone() -> None:
    leaves(NESTED, {"x": None})
    leaves(NESTED, {"x": {"y": None}})


@pytest.mark.parametrize(("parent", "found"), [([], "array"), (1, "int"), ("a", "string")])
def test_an_array_or_a_scalar_as_parent_is_refused(parent: object, found: str) -> None:
    refuses(NESTED, {"x": {"y": parent}}, "x.y", found, "object")
    refuses(NESTED, {"x": parent}, "x", found, "object")


def test_the_inverse_removes_the_field() -> None:
    comes_back(STATUS, {"title": "a"})
    assert STATUS.invert() == ops.RemoveField("status", default="new")
    assert STATUS.invert().invert() == STATUS


def test_the_default_is_what_the_database_would_give_back() -> None:
    moment = datetime.datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    operation = ops.AddField("at", (moment, 2**40))

    gives(operation, {}, {"at": [datetime.datetime.fromisoformat("2024-01-01T10:00:00.123"), 2**40]})


def test_rows_do_not_share_the_default() -> None:
    operation = ops.AddField("tags", [[]])
    operation.apply({})["tags"][0].append("changed")

    gives(operation, {}, {"tags": [[]]})


def test_a_default_that_cannot_be_stored_is_refused() -> None:
    invalid(lambda: ops.AddField("a", object()), "cannot use object as default: it cannot be stored")
    invalid(lambda: ops.AddField("a", 2**64), "cannot use int as default")


@pytest.mark.parametrize("path", ["", "a..b", ".a", "$a", "a.$b", "a.0", "_id", "_id.a", "a\0"])
def test_an_impossible_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidFieldPathError):
        ops.AddField(path, 1)
