import pytest

from docstore import operations as ops
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

POINT = ops.UnpackList("point", into=["x.lon", "lat"])


def test_elements_become_fields_by_position() -> None:
    gives(POINT, {"point": [None, [47.07]], "n": 1}, {"n": 1, "x": {"lon": None}, "lat": [47.07]})


@pytest.mark.parametrize("row", [{}, {"point": None}, {"point": None, "lat": 1}])
def test_a_missing_list_and_null_stay_as_they_are(row: dict[str, object]) -> None:
    leaves(POINT, row)


@pytest.mark.parametrize("values", [[], [1], [1, 2, 3]])
def test_a_list_of_another_length_is_refused(values: list[int]) -> None:
    refuses(POINT, {"point": values}, "point", "array", "2 elements")


def test_anything_but_a_list_is_refused() -> None:
    refuses(POINT, {"point": "1,2"}, "point", "string", "array")


def test_a_present_target_or_an_impossible_parent_is_refused() -> None:
    refuses(POINT, {"point": [1, 2], "lat": None}, "lat", "null", "missing")
    refuses(POINT, {"point": [1, 2], "x": 1}, "x", "int", "object")


def test_the_inverse_packs() -> None:
    comes_back(POINT, {"point": [1, {"a": 2}], "x": {}})
    assert POINT.invert().invert() == POINT


def test_impossible_arguments_are_refused() -> None:
    invalid(lambda: ops.UnpackList("a", into=[]), "was given no paths as into")
    invalid(lambda: ops.UnpackList("a", into=["a", "b"]), "they overlap")
