"""
Values as the server sees them: type names, identity, equality.
"""

import datetime
import re
import uuid
from collections import OrderedDict
from typing import Any

import pytest
from bson import SON
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from bson.regex import Regex
from bson.timestamp import Timestamp
from hypothesis import given

from docstore.core.bson_values import comparison_key, decode, encode, identical, type_name
from tests.strategies import documents, values


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *((None, "null"), (True, "bool"), (1, "int"), (2**31 - 1, "int"), (2**31, "long"), (-(2**31), "int")),
        *((-(2**31) - 1, "long"), (Int64(1), "long"), (1.0, "double"), (Decimal128("1"), "decimal"), ("", "string")),
        *(({}, "object"), (OrderedDict(), "object"), (SON(), "object"), (RawBSONDocument(encode({})), "object")),
        *((DBRef("c", 1), "object"), ([], "array"), ((), "array"), (ObjectId(), "objectId"), (b"", "binData")),
        *((Binary(b"", 5), "binData"), (uuid.uuid4(), "binData"), (Regex("a"), "regex"), (re.compile("a"), "regex")),
        *((datetime.datetime.now(datetime.UTC), "date"), (DatetimeMS(2**60), "date"), (Timestamp(1, 1), "timestamp")),
        *((Code("x"), "javascript"), (Code("x", {"y": 1}), "javascriptWithScope"), (MinKey(), "minKey")),
        *((MaxKey(), "maxKey"), (object(), "object"), ({1}, "set")),
    ],
)
def test_every_value_has_the_type_that_the_server_names(value: Any, name: str) -> None:
    assert type_name(value) == name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, 1.0),
        (1, Int64(1)),
        (1, True),
        (0.0, -0.0),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Decimal128("1"), Decimal128("1.0")),
    ],
)
def test_values_that_python_may_call_equal_are_not_identical(first: Any, second: Any) -> None:
    assert not identical(first, second)
    assert identical(first, first)
    assert identical([float("nan")], [float("nan")])


@pytest.mark.parametrize(
    "equals",
    [
        (1, 1.0, Int64(1), Decimal128("1"), Decimal128("1.00")),
        (0, 0.0, -0.0, Decimal128("-0E+5")),
        (float("nan"), Decimal128("NaN"), Decimal128("sNaN"), Decimal128("-NaN")),
        (float("inf"), Decimal128("Infinity")),
        (2**53 + 1, Int64(2**53 + 1), Decimal128(str(2**53 + 1))),
        ({"a": [1, {"b": 2.0}]}, SON([("a", (1.0, {"b": 2}))])),
        (datetime.datetime.fromisoformat("1970-01-01T00:00:00.001"), DatetimeMS(1)),
        (DBRef("c", 1), {"$ref": "c", "$id": 1.0}),
    ],
)
def test_values_that_the_server_calls_equal_have_one_key(equals: tuple[Any, ...]) -> None:
    assert len({comparison_key(value) for value in equals}) == 1


@pytest.mark.parametrize(
    "different",
    [
        (1, True, "1", [1], {"": 1}),
        (0, False, None, "", [], {}),
        (0.1, Decimal128("0.1")),
        (2**53, 2**53 + 1),
        (2.0**63, 2**63 - 1),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1}),
        ([1], [1, 1], [[1]]),
        (float("inf"), float("-inf"), float("nan")),
        ("é", "e\u0301", "É"),
        (b"a", Binary(b"a", 5), "a"),
        (Regex("a"), Regex("a", "i")),
        (Timestamp(0, 1), DatetimeMS(1), 1),
        (MinKey(), MaxKey()),
    ],
)
def test_values_that_the_server_calls_different_have_different_keys(different: tuple[Any, ...]) -> None:
    assert len({comparison_key(value) for value in different}) == len(different)


@given(documents)
def test_what_is_decoded_encodes_to_the_same_bytes(row: Any) -> None:
    once = encode(decode(encode(row)))

    assert encode(decode(once)) == once


@given(values)
def test_identical_values_are_equal_ones(value: Any) -> None:
    again = decode(encode({"": value}))[""]

    assert identical(again, decode(encode({"": again}))[""])
    assert comparison_key(again) == comparison_key(value)
