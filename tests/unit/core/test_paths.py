"""
Paths: which are possible, which touch each other, and what stands at them.
"""

import copy
import pickle
from typing import Any

import pytest

from docstore.core.paths import MISSING, FieldPath, dotted, lookup, overlap, overlap_any, parse_path
from docstore.errors import InvalidFieldPathError


@pytest.mark.parametrize("path", ["a", "a.b.c", "größe", "a b", "a$b", "x._id", "a1", "1a", "-"])
def test_a_path_is_split_at_its_dots_and_joined_again(path: str) -> None:
    assert parse_path(path) == tuple(path.split("."))
    assert dotted(parse_path(path)) == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "is empty"),
        (None, "is a NoneType and no text"),
        ("a..b", "has an empty segment"),
        ("a.", "has an empty segment"),
        ("$a", "begins with '$'"),
        ("a.$[]", "begins with '$'"),
        ("a.0.b", "digits only; use ForEach"),
        ("a\0", "a character that no field name can have"),
        ("a.\ud800", "a character that no field name can have"),
        ("_id", "names the _id"),
        ("_id.a", "names the _id"),
    ],
)
def test_an_impossible_path_is_refused_with_the_reason(path: Any, reason: str) -> None:
    with pytest.raises(InvalidFieldPathError) as caught:
        parse_path(path)

    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("first", "second", "touches"),
    [
        (("a",), ("a",), True),
        (("a",), ("a", "b"), True),
        (("a", "b"), ("a",), True),
        (("a", "b"), ("a", "c"), False),
        (("a",), ("ab",), False),
        ((), ("a",), True),
    ],
)
def test_paths_overlap_when_one_lies_within_the_other(first: FieldPath, second: FieldPath, touches: Any) -> None:
    assert overlap(first, second) is touches
    assert overlap_any(first, [("z",), second]) is touches
    assert not overlap_any(first, [])


@pytest.mark.parametrize(
    ("path", "value"),
    [(("a",), {"b": None}), (("a", "b"), None), (("a", "c"), MISSING), (("l", "b"), MISSING), (("n", "b"), MISSING)],
)
def test_lookup_finds_what_documents_hold_and_nothing_else(path: FieldPath, value: Any) -> None:
    assert lookup({"a": {"b": None}, "l": [{"b": 1}], "n": 5}, path) == value


def test_missing_is_one_object_wherever_it_goes() -> None:
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING  # noqa: S301 - made here
    assert copy.deepcopy({"a": MISSING})["a"] is MISSING
    assert not MISSING
    assert repr(MISSING) == "MISSING"
