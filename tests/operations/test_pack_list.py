import pytest

from docstore import operations as ops
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

POINT = ops.PackList(["lon", "lat"], into="x.point")


def test_fields_become_elements_in_order() -> None:
    gives(POINT, {"lat": 47.07, "lon": None, "n": 1}, {"n": 1, "x": {"point": [None, 47.07]}})
    gives(POINT, {"lat": [1], "lon": {}}, {"x": {"point": [{}, [1]]}})


@pytest.mark.parametrize("row", [{}, {"x": None}, {"x": {"point": 1}}])
def test_nothing_happens_where_all_are_missing(row: dict[str, object]) -> None:
    leaves(POINT, row)


def test_positions_do_not_shift() -> None:
    refuses(POINT, {"lat": 1}, "lon", "missing", "a value, as its neighbours have")


def test_a_present_target_or_an_impossible_parent_is_refused() -> None:
    refuses(POINT, {"lat": 1, "lon": 2, "x": {"point": None}}, "x.point", "null", "missing")
    refuses(POINT, {"lat": 1, "lon": 2, "x": None}, "x", "null", "object")


def test_the_inverse_unpacks() -> None:
    comes_back(POINT, {"lat": 47.07, "lon": 15.44, "x": {}})


def test_impossible_arguments_are_refused() -> None:
    invalid(lambda: ops.PackList([], into="x"), "was given no paths as sources")
    invalid(lambda: ops.PackList(["a", "b"], into="a"), "they overlap")
