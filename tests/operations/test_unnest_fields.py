import pytest

from docstore import operations as ops
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

COUNTRY = ops.UnnestFields("country", {"code": "countrycode", "admin1": "admin1code"})


def test_fields_come_out_and_the_empty_document_goes() -> None:
    gives(
        COUNTRY,
        {"country": {"admin1": "06", "code": None}, "name": "Graz"},
        {"name": "Graz", "countrycode": None, "admin1code": "06"},
    )


def test_names_are_kept_beside_the_document_where_none_are_given() -> None:
    gives(ops.UnnestFields("x.y", ["a", "b"]), {"x": {"y": {"a": 1, "b": 2}, "n": 0}}, {"x": {"n": 0, "a": 1, "b": 2}})


def test_fields_that_are_not_named_stay() -> None:
    gives(COUNTRY, {"country": {"name": "x", "code": "AT"}}, {"country": {"name": "x"}, "countrycode": "AT"})


@pytest.mark.parametrize("row", [{}, {"country": None}, {"country": {}}, {"country": {"name": 1}, "countrycode": 1}])
def test_nothing_happens_where_there_is_nothing_to_move(row: dict[str, object]) -> None:
    leaves(COUNTRY, row)


def test_a_present_target_is_refused() -> None:
    refuses(COUNTRY, {"country": {"code": "AT"}, "countrycode": None}, "countrycode", "null", "missing")


@pytest.mark.parametrize(("value", "found"), [([], "array"), ("AT", "string")])
def test_anything_but_a_document_is_refused(value: object, found: str) -> None:
    refuses(COUNTRY, {"country": value}, "country", found, "object")


def test_an_impossible_parent_of_a_target_is_refused() -> None:
    refuses(ops.UnnestFields("x", {"a": "y.a"}), {"x": {"a": 1}, "y": None}, "y", "null", "object")


def test_the_inverse_nests_them_again() -> None:
    comes_back(COUNTRY, {"country": {"code": "AT", "admin1": None, "name": "x"}})
    assert COUNTRY.invert().invert() == COUNTRY


def test_impossible_arguments_are_refused() -> None:
    invalid(lambda: ops.UnnestFields("x", []), "was given no fields")
    invalid(lambda: ops.UnnestFields("x", {"a": "b", "c": "b"}), "two fields in the same place")
    invalid(lambda: ops.UnnestFields("x", {"a.b": "b"}), "a plain name, not 'a.b'")
    invalid(lambda: ops.UnnestFields("x", {"a": "x.b"}), "they overlap")
