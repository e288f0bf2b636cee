"""BSON values as the server sees them: type names, exact identity, and comparison order's idea of equality."""

import datetime
import math
import re
import uuid
from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import bson
from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

#: A stored row as Python sees it: field names to BSON values.
RawDocument: TypeAlias = dict[str, Any]

#: How docstore decodes and encodes. Dates outside Python's range stay `DatetimeMS`, so that one odd date does not
#: fail a batch; dates are naive UTC, as the drivers give them by default; UUIDs are standard (subtype 4).
CODEC: Final[CodecOptions[RawDocument]] = CodecOptions(
    document_class=dict,
    tz_aware=False,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)

_INT32_MAX: Final = 2**31 - 1
_INT32_MIN: Final = -(2**31)

_TYPE_NAMES: Final[dict[type, str]] = {
    type(None): "null",
    bool: "bool",
    float: "double",
    str: "string",
    dict: "object",
    list: "array",
    tuple: "array",
    Int64: "long",
    Decimal128: "decimal",
    ObjectId: "objectId",
    datetime.datetime: "date",
    DatetimeMS: "date",
    bytes: "binData",
    Binary: "binData",
    uuid.UUID: "binData",
    Regex: "regex",
    re.Pattern: "regex",
    Timestamp: "timestamp",
    MinKey: "minKey",
    MaxKey: "maxKey",
    Code: "javascript",
    DBRef: "object",
}


def type_name(value: Any) -> str:
    """Return the alias by which the server's `$type` calls a value's BSON type."""
    if type(value) is int:
        return "int" if _INT32_MIN <= value <= _INT32_MAX else "long"
    name = _TYPE_NAMES.get(type(value))
    if name is not None:
        if name == "javascript" and value.scope is not None:
            return "javascriptWithScope"
        return name
    for kind, alias in _TYPE_NAMES.items():
        if isinstance(value, kind):
            return alias
    if isinstance(value, int):
        return "int" if _INT32_MIN <= value <= _INT32_MAX else "long"
    if isinstance(value, Mapping):
        return "object"
    return type(value).__name__


#: Two values of the same one of these types are the same BSON where Python calls them equal. Floats are not: -0.0.
_EQUAL_IS_IDENTICAL: Final = frozenset({str, bool, int, Int64, ObjectId, type(None)})

#: The types of nearly all values that are no containers: a quick look at every value before a call for the others.
_LEAVES: Final = frozenset({*_EQUAL_IS_IDENTICAL, float, datetime.datetime})


def encode(document: Mapping[str, Any]) -> bytes:
    """Encode a document as docstore stores it."""
    return bson.encode(document, codec_options=CODEC)


def decode(data: bytes) -> RawDocument:
    """Decode one document as docstore reads it."""
    return bson.decode(data, codec_options=CODEC)


def copied(document: Mapping[str, Any]) -> RawDocument:
    """Return a document whose containers are new at every depth; leaves are immutable and stay the same objects."""
    return {name: value if type(value) in _LEAVES else _copied(value) for name, value in document.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return copied(value)
    if isinstance(value, list):
        return [item if type(item) in _LEAVES else _copied(item) for item in value]
    return value


def identical(first: Any, second: Any) -> bool:
    """
    Tell whether two values are the same BSON: types, key order, bytes.

    Python's `==` is no substitute: it calls 1, 1.0 and True equal, ignores key order, and denies that NaN is NaN.
    """
    if first is second:
        return True
    if type(first) is type(second) and type(first) in _EQUAL_IS_IDENTICAL:
        return bool(first == second)
    return encode({"": first}) == encode({"": second})


def same_values(first: Any, second: Any) -> bool:
    """
    Tell whether two values are the same BSON but for the order of fields, at any depth.
    """
    return identical(first, second) or identical(_in_order(first), _in_order(second))


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return list(map(_in_order, value)) if isinstance(value, list) else value


def comparison_key(value: Any) -> Hashable:
    """
    Return a key that is equal for exactly those values that the server's `$eq` calls equal.

    Numbers compare across types by value, NaN equals NaN, strings byte by byte (simple collation), documents by
    their fields in order.

    Source: MongoDB manual, "Comparison/Sort Order".
    """
    name = type_name(value)
    if name in {"int", "long", "double", "decimal"}:
        return ("number", _number_key(value))
    if name == "object":
        fields = value.as_doc() if isinstance(value, DBRef) else value
        return (name, tuple((key, comparison_key(item)) for key, item in fields.items()))
    if name == "array":
        return (name, tuple(comparison_key(item) for item in value))
    if name in {"null", "minKey", "maxKey"}:
        return (name,)
    if name in {"bool", "string", "objectId"}:
        return (name, value)
    return (name, encode({"": value}))


def _number_key(value: Any) -> Hashable:
    # Python compares (and hashes) numbers of different types by their exact values, as the server does.
    number: Any = value.to_decimal() if isinstance(value, Decimal128) else value
    is_nan = number.is_nan() if isinstance(number, Decimal) else isinstance(number, float) and math.isnan(number)
    return "nan" if is_nan else number
