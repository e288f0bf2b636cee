"""
Random BSON: values of every type, documents with awkward names, and documents that differ a little.
"""

import datetime
from typing import Any

from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp
from hypothesis import strategies as st

#: Few, so that two documents often have the same ones; the last ones no operator can speak of.
NAMES = ["a", "b", "c", "B", "é", "aa", "10", "9", "x.y", "$d", ""]
#: Those that every server and operator takes at the top level.
PLAIN_NAMES = NAMES[:8]

scalars = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            False,
            0,
            1,
            1.0,
            Int64(1),
            Decimal128("1"),
            Decimal128("1.0"),
            -0.0,
            float("nan"),
            2**40,
            "",
            "1",
            "$price",
            b"x",
            Binary(b"x", 5),
            Regex("a", "i"),
            Timestamp(1, 2),
            DatetimeMS(10**15),
            datetime.datetime(2020, 1, 2, 3, 4, 5, 678000),  # noqa: DTZ001 - stored dates are naive UTC
            ObjectId("0123456789ab0123456789ab"),
        ]
    ),
    st.integers(-5, 5),
    st.text(max_size=3, alphabet="abé$."),
)


def documents(names: list[str], values: Any, *, max_size: int = 4) -> Any:
    """
    Documents with fields of these names, in any order.
    """
    return st.lists(st.tuples(st.sampled_from(names), values), max_size=max_size, unique_by=lambda item: item[0]).map(
        dict
    )


values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), documents(NAMES, inner)), max_leaves=8
)


@st.composite
def changed(draw: Any, value: Any) -> Any:
    """
    A value that was changed in places.
    """
    choice = draw(st.integers(0, 3))
    if choice == 0:
        return draw(values)
    if choice == 1 and isinstance(value, dict) and value:
        kept = {name: item for name, item in value.items() if draw(st.booleans())}
        target = draw(st.sampled_from(sorted(value)))
        kept[target] = draw(changed(value[target]))
        kept.update(draw(documents(NAMES, values, max_size=2)))
        return kept
    if choice == 2 and isinstance(value, list) and value:
        items = list(value)
        place = draw(st.integers(0, len(items) - 1))
        items[place] = draw(changed(items[place]))
        return items
    return value


@st.composite
def changed_rows(draw: Any, names: list[str] = PLAIN_NAMES) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Two rows with the same `_id`, of which the second is mostly the first with some changes.
    """
    before = draw(documents(names, values, max_size=6))
    after = {name: draw(changed(value)) for name, value in before.items() if draw(st.integers(0, 4))}
    after.update(draw(documents(names, values, max_size=2)))
    return {"_id": 1, **before}, {"_id": 1, **after}
