"""
One id is one id, however it is spelled.
"""

import datetime
import uuid
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from docstore.core.bson_values import comparison_key
from docstore.core.canonical_id import bucket, canonical

NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.integers(-5, 5).map(Int64),
    st.integers(-5, 5).map(float),
    st.sampled_from([0.5, 0.1, -0.0, float("nan"), float("inf"), float("-inf")]),
    st.sampled_from(["1", "1.0", "0.1", "0.5", "-0", "NaN", "Infinity", "-Infinity", "1E+6000"]).map(Decimal128),
)
LEAVES = st.one_of(NUMBERS, st.booleans(), st.none(), st.text(max_size=2), st.binary(max_size=2))
IDS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)


@pytest.mark.parametrize(
    "spellings",
    [
        [1, Int64(1), 1.0, Decimal128("1"), Decimal128("1.00")],
        [0, -0.0, Decimal128("-0")],
        [float("nan"), Decimal128("NaN")],
        [{"a": 1, "b": [2]}, {"a": 1.0, "b": [Int64(2)]}],
        [datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)],  # noqa: DTZ001
    ],
)
def test_every_spelling_of_an_id_is_one_id(spellings: list[Any]) -> None:
    assert len({canonical(each) for each in spellings}) == 1
    assert len({bucket(each) for each in spellings}) == 1


@pytest.mark.parametrize(
    "ids",
    [
        [1, "1", True, [1], {"a": 1}, None],
        [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": {"b": 2}}],
        [0.1, Decimal128("0.1")],
        [["ab", "c"], ["a", "bc"], ["abc"]],
        [2**53, 2**53 + 1],
        [b"a", uuid.UUID(int=1), ObjectId("0" * 24), "0" * 24],
    ],
)
def test_different_ids_are_different(ids: list[Any]) -> None:
    assert len({canonical(each) for each in ids}) == len(ids)


@given(IDS, IDS)
def test_two_ids_are_one_exactly_where_the_server_takes_them_for_equal(first: Any, second: Any) -> None:
    assert (canonical(first) == canonical(second)) == (comparison_key(first) == comparison_key(second))


def test_ids_keep_their_place_from_release_to_release() -> None:
    # Two releases that run side by side have to agree, so these never change.
    assert [bucket(each) for each in (1, "city", ObjectId("0" * 24))] == [1.3986, 45.2665, 49.7222]
    assert bucket(1, salt="other") != bucket(1)


def test_ids_spread_evenly() -> None:
    falling = sum(bucket(number) < 10 for number in range(10_000))

    assert 900 < falling < 1100
