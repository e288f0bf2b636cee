"""
Ids as the server tells them apart, as bytes that are the same on every node.
"""

import hashlib
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from bson.dbref import DBRef
from bson.decimal128 import Decimal128

from docstore.core.bson_values import encode, type_name

#: In how many parts ids are divided; a percentage is exact to a ten-thousandth of a percent.
_PARTS: Final = 1_000_000
_WHOLE: Final = 100.0


def bucket(id: Any, *, salt: str = "") -> float:
    """
    Return where an id falls, from 0 up to but not including 100: the same on every node, for all spellings of the id.

    A share of P percent are the ids whose bucket is below P, so a greater share holds every id of a smaller one.

    Args:
        id: Any value that an `_id` can have.
        salt: Divides the same ids in another way.
    """
    digest = hashlib.sha256(salt.encode() + b"\0" + canonical(id)).digest()
    return int.from_bytes(digest[:8], "big") % _PARTS / (_PARTS / _WHOLE)


def refuse_share(percent: float) -> None:
    """
    Refuse what is no share of the ids.

    Raises:
        ValueError: It is not a number from 0 to 100.
    """
    # Written so that it refuses NaN.
    if not 0.0 <= percent <= _WHOLE:
        msg = f"a share is a number from 0 to 100, not {percent}"
        raise ValueError(msg)


def canonical(value: Any) -> bytes:
    """
    Return bytes that are equal for exactly those values that the server takes for one `_id`.

    1, `Int64(1)`, 1.0 and `Decimal128("1")` are one id, also within documents and arrays; so are -0.0 and 0, and all
    NaNs. Documents with the same fields in another order are different ids.
    """
    name = type_name(value)
    if name in {"int", "long", "double", "decimal"}:
        return _marked(b"number", _number(value))
    if name == "object":
        fields = value.as_doc() if isinstance(value, DBRef) else value
        return _marked(b"object", *(part for key, item in fields.items() for part in (key.encode(), canonical(item))))
    if name == "array":
        return _marked(b"array", *map(canonical, value))
    # For all others equal values are the same bytes.
    return _marked(name.encode(), encode({"": value}))


def _number(value: Any) -> bytes:
    number: Decimal | float | int = value.to_decimal() if isinstance(value, Decimal128) else value
    if isinstance(number, Decimal):
        if number.is_nan():
            return b"nan"
        if number.is_infinite():
            return b"+inf" if number > 0 else b"-inf"
    elif math.isnan(number):
        return b"nan"
    elif math.isinf(number):
        return b"+inf" if number > 0 else b"-inf"
    exact = Fraction(number)
    # In hexadecimal, because a Decimal128 can have more digits than Python writes in decimal.
    return f"{exact.numerator:x}/{exact.denominator:x}".encode()


def _marked(mark: bytes, *parts: bytes) -> bytes:
    """
    Join parts with their lengths, so that no two lists of parts give the same bytes.
    """
    return b"".join([mark, b"(", *(b"%d:%b" % (len(part), part) for part in parts), b")"])
