"""
Cutting a range of ids into parts that can be counted one beside the other.
"""

from collections.abc import Sequence
from typing import Any

from bson.objectid import ObjectId

_BYTES = 12


def id_cuts(first: Any, last: Any, parts: int) -> Sequence[Any]:
    """
    Return ids that cut the range from *first* to *last* into so many parts of equal width, in order.

    Whatever id lies between two integers in the order of the server is a number, and between two `ObjectId`s there are
    only such; so comparisons with a cut, which see ids of its own type alone, miss none. Between others nobody knows:
    they are not cut.
    """
    if isinstance(first, ObjectId) and isinstance(last, ObjectId):
        low, high = (int.from_bytes(each.binary, "big") for each in (first, last))
        return [ObjectId(cut.to_bytes(_BYTES, "big")) for cut in _cuts(low, high, parts)]
    if _is_integer(first) and _is_integer(last):
        return _cuts(int(first), int(last), parts)
    return []


def _cuts(low: int, high: int, parts: int) -> list[int]:
    cuts = {low + (high - low) * number // parts for number in range(1, parts)}
    return sorted(cuts - {low})


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
