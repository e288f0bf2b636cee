from typing import Any

import pytest
from bson.int64 import Int64
from hypothesis import given

from docstore.core.bson_values import identical
from docstore.core.merge import merge
from tests.changed_rows import NAMES, changed_rows, documents, values


def test_merge_without_a_change_gives_the_stored_row_with_its_types() -> None:
    stored = {"_id": 1, "n": Int64(5), "unknown": {"x": 1}, "list": [Int64(1), {"y": Int64(2), "u": 0}]}
    seen = {"_id": 1, "n": 5, "list": [1, {"y": 2}], "default": 0}
    assert identical(merge(stored, seen, seen), stored)


def test_merge_of_a_changed_field_keeps_everything_beside_it() -> None:
    stored = {"a": Int64(1), "in": {"b": Int64(2), "c": Int64(3), "unknown": 4}}
    before = {"a": 1, "in": {"b": 2, "c": 3}}
    now = {"a": 1, "in": {"b": 2, "c": 7}}
    assert identical(merge(stored, before, now), {"a": Int64(1), "in": {"b": Int64(2), "c": 7, "unknown": 4}})


def test_merge_removes_a_field_that_went_and_adds_one_that_came() -> None:
    assert merge({"a": 1, "u": 2}, {"a": 1}, {"b": 3}) == {"u": 2, "b": 3}


def test_merge_stores_a_default_only_once_it_changed() -> None:
    assert merge({}, {"a": 0}, {"a": 0}) == {}
    assert merge({}, {"a": 0}, {"a": 1}) == {"a": 1}


def test_merge_of_a_list_that_grew_keeps_the_elements_that_stayed() -> None:
    stored = [{"k": Int64(1), "u": "a"}, {"k": Int64(2), "u": "b"}]
    merged = merge({"l": stored}, {"l": [{"k": 1}, {"k": 2}]}, {"l": [{"k": 0}, {"k": 1}, {"k": 2}]})
    assert identical(merged["l"], [{"k": 0}, *stored])


def test_merge_of_a_reordered_list_moves_the_stored_elements() -> None:
    stored = [{"k": 1, "u": "a"}, {"k": 2, "u": "b"}, {"k": 1, "u": "c"}]
    merged = merge({"l": stored}, {"l": [{"k": 1}, {"k": 2}, {"k": 1}]}, {"l": [{"k": 2}, {"k": 1}, {"k": 1}]})
    assert merged["l"] == [{"k": 2, "u": "b"}, {"k": 1, "u": "a"}, {"k": 1, "u": "c"}]


def test_merge_of_a_changed_element_keeps_its_unknown_fields_where_the_length_stayed() -> None:
    merged = merge({"l": [{"k": 1, "u": "a"}]}, {"l": [{"k": 1}]}, {"l": [{"k": 5}]})
    assert merged["l"] == [{"k": 5, "u": "a"}]


def test_merge_of_a_changed_element_in_a_shorter_list_does_not_guess_which_it_was() -> None:
    stored = [{"k": 1, "u": "a"}, {"k": 2, "u": "b"}]
    merged = merge({"l": stored}, {"l": [{"k": 1}, {"k": 2}]}, {"l": [{"k": 7}]})
    assert merged["l"] == [{"k": 7}]


def test_merge_of_a_list_that_the_model_shortened_takes_the_new_one() -> None:
    merged = merge({"l": ["b", "a", "a"]}, {"l": ["a", "b"]}, {"l": ["a", "b", "c"]})
    assert merged["l"] == ["a", "b", "c"]


def test_merge_follows_a_new_order_of_fields() -> None:
    merged = merge({"m": {"a": 1, "b": 2, "u": 3}}, {"m": {"a": 1, "b": 2}}, {"m": {"b": 2, "a": 1}})
    assert list(merged["m"]) == ["b", "a", "u"]


@pytest.mark.timeout(600)
@given(changed_rows(NAMES))
def test_merge_gives_the_new_document_where_the_model_knows_everything(
    rows: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    before, now = rows
    merged = merge(before, before, now)
    assert merged.keys() == now.keys()
    assert all(identical(merged[name], now[name]) for name in now)


@pytest.mark.timeout(600)
@given(changed_rows(["a", "b"]), documents(["u", "v"], values))
def test_merge_keeps_what_the_model_does_not_know(
    rows: tuple[dict[str, Any], dict[str, Any]], unknown: dict[str, Any]
) -> None:
    before, now = rows
    merged = merge({**before, **unknown}, before, now)
    assert all(identical(merged[name], value) for name, value in unknown.items())
    assert {name: merged[name] for name in merged if name not in unknown}.keys() == now.keys()
