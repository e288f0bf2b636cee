"""
Cutting a range of ids.
"""

import datetime
from typing import Any

import pytest
from bson.int64 import Int64
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from docstore.core.id_cuts import id_cuts

integers = st.integers(-(2**63), 2**63 - 1)


@given(ends=st.tuples(integers, integers).map(sorted), parts=st.integers(1, 9))
def test_cuts_lie_between_the_ends_in_order_and_each_once(ends: list[int], parts: int) -> None:
    low, high = ends

    cuts = list(id_cuts(low, high, parts))

    assert cuts == sorted(set(cuts))
    assert len(cuts) <= parts - 1 if high > low else not cuts
    assert all(low < cut <= high for cut in cuts)


@given(ends=st.tuples(*[st.binary(min_size=12, max_size=12)] * 2).map(sorted), parts=st.integers(1, 9))
def test_object_ids_are_cut_as_they_are_ordered(ends: list[bytes], parts: int) -> None:
    low, high = map(ObjectId, ends)

    cuts = list(id_cuts(low, high, parts))

    assert cuts == sorted(set(cuts))
    assert all(low < cut <= high for cut in cuts)


def test_parts_are_of_equal_width() -> None:
    assert list(id_cuts(0, Int64(100), 4)) == [25, 50, 75]


@pytest.mark.parametrize(
    ("first", "last"),
    [("a", "b"), (1, "b"), (1.0, 5), (False, 5), (None, None), (1, ObjectId()), (1, datetime.datetime(2026, 1, 1))],  # noqa: DTZ001
)
def test_other_ids_are_not_cut(first: Any, last: Any) -> None:
    assert list(id_cuts(first, last, 8)) == []
