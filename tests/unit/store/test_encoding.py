import datetime
import uuid
from collections import OrderedDict
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from bson import Binary, Decimal128
from pydantic import BaseModel, SecretStr

from docstore.errors import UnstorableValueError
from docstore.store.encoding import encoded, storable


class Size(IntEnum):
    BIG = 3


class Color(Enum):
    RED = "red"


class Point(BaseModel):
    x: float


def stored(value: Any) -> Any:
    return storable(value, kind="thing", path="value")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Color.RED, "red"),
        (Size.BIG, 3),
        (Decimal("1.50"), Decimal128("1.50")),
        (uuid.UUID(int=5), Binary(uuid.UUID(int=5).bytes, 4)),
        (datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2)),  # noqa: DTZ001 - stored dates are naive UTC
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        ({"b", "a"}, ["a", "b"]),
        (OrderedDict(b=1, a={Color.RED}), {"b": 1, "a": ["red"]}),
        ({1: "a", Color.RED: "b", uuid.UUID(int=5): "c"}, {"1": "a", "red": "b", str(uuid.UUID(int=5)): "c"}),
        (Point(x=1), {"x": 1.0}),
        ([Point(x=1)], [{"x": 1.0}]),
        (bytearray(b"x"), b"x"),
    ],
    # Not `repr`: a set's differs between the processes of a parallel run, which then refuse to begin.
    ids=lambda value: type(value).__name__,
)
def test_values_become_what_bson_holds(value: Any, expected: Any) -> None:
    found = stored(value)
    assert (type(found), found) == (type(expected), expected)


def test_a_bool_stays_a_bool() -> None:
    assert stored({"a": [True]}) == {"a": [True]}
    assert stored(True) is True


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ({"a": [1, object()]}, "value.a.1", "object"),
        ({"a": SecretStr("secret")}, "value.a", "SecretStr"),
        (Decimal("1." + "1" * 40), "value", "a Decimal of more than 34 digits"),
        ({(1, 2): 3}, "value", "a key of type tuple"),
        ([1j], "value.0", "complex"),
    ],
)
def test_values_without_a_place_in_bson_are_named_by_path_and_type(value: Any, path: str, found: str) -> None:
    with pytest.raises(UnstorableValueError) as caught:
        stored(value)
    assert (caught.value.path, caught.value.found) == (path, found)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [2**63, "\ud800"], ids=["wide", "surrogate"])
def test_rows_that_do_not_go_into_bson_are_named_by_path_and_type(value: Any) -> None:
    with pytest.raises(UnstorableValueError) as caught:
        encoded({"_id": 1, "a": {"b": [0, value]}}, kind="thing")
    assert (caught.value.path, caught.value.found) == ("a.b.1", type(value).__name__)
