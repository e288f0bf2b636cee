"""
What `ConvertType` does to a value in Python: nothing is lost, or there is no result.

One function for each target type. Each takes a value and the name of its BSON type and returns the converted value, or
`IMPOSSIBLE`. Numbers and texts are converted only where the result says the same as the source: 2.5 is no integer, and
a text counts only if it is written plainly, in ASCII.
"""

import datetime
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

#: How texts are written that say a number, a moment or an id. The server reads them as regular expressions too.
INTEGER_TEXT: Final = r"[+-]?[0-9]+"
NUMBER_TEXT: Final = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
DATE_TEXT: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
OBJECT_ID_TEXT: Final = r"[0-9a-fA-F]{24}"

INT32_MIN: Final = -(2**31)
INT32_MAX: Final = 2**31 - 1
INT64_MIN: Final = Int64(-(2**63))
INT64_MAX: Final = Int64(2**63 - 1)

#: The first and the last moment that a text of this form can say, in milliseconds since 1970.
FIRST_DATE: Final = DatetimeMS(-62_135_596_800_000)
LAST_DATE: Final = DatetimeMS(253_402_300_799_999)

_INTEGER: Final = re.compile(INTEGER_TEXT)
_NUMBER: Final = re.compile(NUMBER_TEXT)
_DATE: Final = re.compile(DATE_TEXT)
_OBJECT_ID: Final = re.compile(OBJECT_ID_TEXT)
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - rows hold naive UTC
_NUMBERS: Final = frozenset({"int", "long", "double", "decimal"})


class _Impossible:
    """
    The result of a conversion that would lose something.
    """

    __slots__ = ()


IMPOSSIBLE: Final = _Impossible()

#: Takes a value and the name of its type.
Conversion: TypeAlias = Callable[[Any, str], Any]


def to_int64(value: Any, kind: str) -> Any:
    """
    Return the same integer as int64. A boolean is 0 or 1.
    """
    number: int | float | Decimal
    if kind in {"int", "long", "double", "bool"}:
        number = value
    elif kind == "decimal":
        number = value.to_decimal()
    elif kind == "string" and _INTEGER.fullmatch(value):
        number = Decimal(value)
    else:
        return IMPOSSIBLE
    # NaN is not within the bounds either; a signalling one must not be compared.
    if (isinstance(number, Decimal) and number.is_nan()) or not INT64_MIN <= number <= INT64_MAX:
        return IMPOSSIBLE
    return Int64(number) if number == int(number) else IMPOSSIBLE


def to_int(value: Any, kind: str) -> Any:
    """
    Return the same integer as int32 where it fits, else as int64.
    """
    number = to_int64(value, kind)
    return int(number) if number is not IMPOSSIBLE and INT32_MIN <= number <= INT32_MAX else number


def to_float(value: Any, kind: str) -> Any:
    """
    Return the same number as double; of a decimal or a text, the nearest double.
    """
    if kind == "double":
        return value
    if kind in {"int", "long", "bool"}:
        return float(value) if int(float(value)) == value else IMPOSSIBLE
    if kind == "decimal":
        number = value.to_decimal()
        if number.is_nan():
            return float("nan")
    elif kind == "string" and _NUMBER.fullmatch(value):
        try:
            number = Decimal(value)
        except ArithmeticError:
            return IMPOSSIBLE
    else:
        return IMPOSSIBLE
    result = float(number)
    vanished = result == 0 and number != 0
    overflowed = result in (float("inf"), float("-inf")) and number.is_finite()
    return IMPOSSIBLE if vanished or overflowed else result


def to_text(value: Any, kind: str) -> Any:
    """
    Return numbers as Python writes them, booleans as "true" and "false", dates as "2024-02-29T10:20:30.000Z".
    """
    if kind == "string":
        return value
    if kind in {"int", "long"}:
        return str(int(value))
    if kind == "double":
        return repr(float(value))
    if kind == "bool":
        return "true" if value else "false"
    if kind in {"decimal", "objectId"}:
        return str(value)
    if kind == "date":
        moment = _moment(int(value if isinstance(value, DatetimeMS) else DatetimeMS(value)))
        return IMPOSSIBLE if isinstance(moment, DatetimeMS) else moment.isoformat(timespec="milliseconds") + "Z"
    return IMPOSSIBLE


def to_bool(value: Any, kind: str) -> Any:
    """
    Return True for 1 and "true", False for 0 and "false".
    """
    if kind == "bool":
        return value
    if kind == "string":
        return {"true": True, "false": False}.get(value, IMPOSSIBLE)
    if kind not in _NUMBERS:
        return IMPOSSIBLE
    number = value.to_decimal() if kind == "decimal" else value
    if isinstance(number, Decimal) and number.is_nan():
        return IMPOSSIBLE
    return number == 1 if number in (0, 1) else IMPOSSIBLE


def to_datetime(value: Any, kind: str) -> Any:
    """
    Return the moment that an ISO 8601 text says, UTC unless it says otherwise; integers are milliseconds since 1970.
    """
    if kind == "date":
        return value
    if kind in {"int", "long", "double"}:
        number = to_int64(value, kind)
        return number if number is IMPOSSIBLE else _moment(int(number))
    if kind != "string" or not _DATE.fullmatch(value):
        return IMPOSSIBLE
    try:
        moment = datetime.datetime.fromisoformat(value)
        return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return IMPOSSIBLE


def to_decimal(value: Any, kind: str) -> Any:
    """
    Return the same number as Decimal128; of a double, the decimal that Python writes.
    """
    if kind == "decimal":
        return value
    if kind in {"int", "long", "bool"}:
        return Decimal128(str(int(value)))
    if kind == "double" or (kind == "string" and _NUMBER.fullmatch(value)):
        try:
            return Decimal128(repr(float(value)) if kind == "double" else value)
        except ArithmeticError:
            return IMPOSSIBLE
    return IMPOSSIBLE


def to_object_id(value: Any, kind: str) -> Any:
    """
    Return the id that 24 hexadecimal digits say.
    """
    if kind == "objectId":
        return value
    return ObjectId(value) if kind == "string" and _OBJECT_ID.fullmatch(value) else IMPOSSIBLE


#: The types to which `ConvertType` converts.
CONVERSIONS: Final[dict[type, Conversion]] = {
    int: to_int,
    Int64: to_int64,
    float: to_float,
    str: to_text,
    bool: to_bool,
    datetime.datetime: to_datetime,
    Decimal128: to_decimal,
    ObjectId: to_object_id,
}


def _moment(milliseconds: int) -> datetime.datetime | DatetimeMS:
    try:
        return _EPOCH + datetime.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return DatetimeMS(milliseconds)
