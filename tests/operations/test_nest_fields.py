from typing import Any

import pytest

from docstore import operations as ops
from docstore.errors import InvalidFieldPathError
from tests.operations.checks import comes_back, gives, invalid, leaves, refuses

COUNTRY = ops.NestFields({"countrycode": "code", "admin1code": "admin1"}, into="country")


def test_fields_move_under_new_names_in_the_order_of_the_list() -> None:
    gives(
        COUNTRY,
        {"admin1code": None, "name": "Graz", "countrycode": "AT"},
        {"name": "Graz", "country": {"code": "AT", "admin1": None}},
    )


def test_names_are_kept_where_none_are_given() -> None:
    gives(ops.NestFields(["a", "x.b"], into="y"), {"a": 1, "x": {"b": 2}}, {"x": {}, "y": {"a": 1, "b": 2}})


@pytest.mark.parametrize("row", [{}, {"country": {}}, {"country": 1}, {"country": None}])
def test_nothing_happens_where_all_sources_are_missing(row: dict[str, object]) -> None:
    leaves(COUNTRY, row)


def test_a_missing_source_is_left_out() -> None:
    gives(COUNTRY, {"admin1code": "06"}, {"country": {"admin1": "06"}})


def test_a_document_that_is_there_gets_the_fields_at_its_end() -> None:
    gives(COUNTRY, {"country": {"name": "x"}, "countrycode": "AT"}, {"country": {"name": "x", "code": "AT"}})


def test_a_name_that_is_there_is_refused() -> None:
    refuses(COUNTRY, {"country": {"code": None}, "countrycode": "AT"}, "country.code", "null", "missing")
    leaves(COUNTRY, {"country": {"code": "AT"}})


@pytest.mark.parametrize(("value", "found"), [(None, "null"), ([], "array"), ("AT", "string")])
def test_anything_else_in_place_of_the_document_is_refused(value: object, found: str) -> None:
    refuses(COUNTRY, {"country": value, "countrycode": "AT"}, "country", found, "object or missing")


def test_an_impossible_parent_is_refused() -> None:
    refuses(ops.NestFields(["a"], into="x.y"), {"a": 1, "x": None}, "x", "null", "object")
    refuses(ops.NestFields(["x.a"], into="y"), {"x": [{"a": 1}]}, "x", "array", "object")


def test_the_inverse_brings_them_out_again() -> None:
    comes_back(COUNTRY, {"countrycode": "AT", "admin1code": "06"})
    comes_back(COUNTRY, {"countrycode": "AT", "country": {"name": 1}})
    comes_back(COUNTRY, {"name": "x"})


def test_impossible_arguments_are_refused() -> None:
    text: Any = "ab"
    invalid(lambda: ops.NestFields([], into="x"), "was given no fields")
    invalid(lambda: ops.NestFields(text, into="x"), "a list of paths as fields")
    invalid(lambda: ops.NestFields(["a", "a"], into="x"), "the same field twice")
    invalid(lambda: ops.NestFields(["a.c", "b.c"], into="x"), "two fields in the same place")
    invalid(lambda: ops.NestFields({"a": "b.c"}, into="x"), "a plain name, not 'b.c'")
    invalid(lambda: ops.NestFields(["x.a"], into="x"), "they overlap")
    with pytest.raises(InvalidFieldPathError):
        ops.NestFields({"a": "0"}, into="x")
