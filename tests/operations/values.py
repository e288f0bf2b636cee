"""
Random BSON values of every type, with the odd ones more often than chance would have it.
"""

import datetime
import uuid
from random import Random
from typing import Any, Final

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

INTEGERS: Final = (
    *(0, 1, -1, 2, 7, 12, 2**31 - 1, -(2**31)),
    *map(Int64, (0, 1, 5, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63))),
)
DOUBLES: Final = (
    *(
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.5,
        12.0,
        0.1,
        1 / 3,
        123456.789,
        1234567.25,
        0.30000000000000004,
        1e-4,
        1e-5,
        99999.99999,
    ),
    *(1e14, 1e15, 1e16, 1e21, 1e300, 5e-324, 2.0**53, 2.0**63, -(2.0**63), float("nan"), float("inf"), float("-inf")),
    *(123456789012345.6, 12345678901234.5, 0.00012345, 4.35, 2147483647.0, 2147483648.0),
)
DECIMALS: Final = tuple(
    Decimal128(text)
    for text in (
        *("0", "-0", "0E+10", "0.00", "1", "1.0", "1.50", "-7", "1E+3", "0.1", "2.5", "-0.00E-3", "1E-7", "0.000001"),
        *("9223372036854775807", "9223372036854775808", "NaN", "sNaN", "Infinity", "-Infinity", "1E-6176", "1E+400"),
        *("9.999E+6144", "0.1000000000000000055511151231257827", "1234567890123456789012345678901234"),
    )
)
TEXTS: Final = (
    *(
        "",
        "a",
        "b",
        "ab",
        "a b",
        "a b c",
        " a",
        "a ",
        "  ",
        "a,b",
        "a.b",
        "$",
        "$a",
        "$$ROOT",
        "$price",
        "$$REMOVE",
        "é",
    ),
    *("日本 語", "é é", "e\u0301", "x\0y", "a\0 b", "12", "-7", "+5", "007", "-0", "1e3", "12.50", ".5", "5.", "1_000"),
    *("0x1F", "1 2", "12\n", "１２", "٣", "9223372036854775807", "9223372036854775808", "123456789012345678"),
    *(
        "NaN",
        "inf",
        "Infinity",
        "true",
        "false",
        "True",
        "null",
        "1e400",
        "0.1",
        "0.30000000000000004",
        "999999999999999.9",
    ),
    *("2024-02-29", "2023-02-29", "2024-02-30T10:00:00Z", "2024-02-29T10:20:30Z", "2024-02-29T10:20:30.123Z"),
    *("2024-02-29T10:20:30.1Z", "2024-02-29T10:20:30+02:00", "2024-02-29T24:00:00Z", "2024-02-29T10:20:60Z"),
    *("0001-01-01", "9999-12-31T23:59:59.999Z", "1000-01-01T00:00:00+13:59", "1582-10-10", "2024-2-9", "20240229"),
    *("2024-02-29T10:20:30-13:59", "2024-02-29T10:20:30.123", "8999-12-31T23:59:59.999-13:00", "2024-02-29 10:20:30"),
    *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0000-01-01", "0000-12-31T23:00:00Z", "1900-02-29"),
    *(
        "2024-02-29T10:20:30+02:60",
        "2024-02-29T10:20:30-00:00",
        "2024-02-29T10:20:30+24:00",
        "2024-06-31",
        "2024-00-10",
    ),
    *("0123456789abcdef01234567", "0123456789ABCDEF01234567", "0123456789abcdef0123456g", "x" * 2000),
)
MOMENTS: Final = (
    *map(datetime.datetime.fromisoformat, ("2024-02-29T10:20:30.123", "1970-01-01", "0001-01-01", "1582-10-10")),
    datetime.datetime.fromisoformat("9999-12-31T23:59:59.999"),
    *map(DatetimeMS, (-(2**63), 2**63 - 1, -62_135_596_800_001, 253_402_300_800_000, -62_167_219_200_001, 10**15)),
)
OTHERS: Final = (
    *(None, True, False, ObjectId(b"0123456789ab"), b"", b"\x00\xff", Binary(b"x", 5), Binary(b"0123456789abcdef", 3)),
    *(uuid.UUID(int=5), Regex("^a", "i"), Timestamp(1, 1), MinKey(), MaxKey(), Code("x"), Code("x", {"y": 1})),
    DBRef("c", 1),
)
#: All of them.
EDGES: Final[tuple[Any, ...]] = (*INTEGERS, *DOUBLES, *DECIMALS, *TEXTS, *MOMENTS, *OTHERS)
#: Names of fields, as they may stand in documents that an operation does not know.
NAMES: Final = (
    "a",
    "b",
    "c",
    "q",
    "x",
    "y",
    "",
    "a.b",
    "$a",
    "$$b",
    "x.y.z",
    "é",
    "0",
    "12",
    "a b",
    "_id",
    "schema_version",
)


def scalar(random: Random) -> Any:
    """
    Return a value that holds no others.
    """
    return random.choice(random.choice((INTEGERS, DOUBLES, DECIMALS, TEXTS, TEXTS, MOMENTS, OTHERS, (None,))))


def anything(random: Random, depth: int = 2) -> Any:
    """
    Return a value of any type, nested at most so deep.
    """
    dice = random.random()
    if depth <= 0 or dice < 0.55:
        return scalar(random)
    if dice < 0.75:
        return [anything(random, depth - 1) for _ in range(random.randrange(4))]
    return document(random, depth - 1)


def document(random: Random, depth: int = 1, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """
    Return a document with up to four fields.
    """
    return {name: anything(random, depth) for name in random.sample(names, random.randrange(min(5, len(names))))}


def text(random: Random) -> str:
    """
    Return a short text.
    """
    if random.random() < 0.4:
        return random.choice(TEXTS)
    return "".join(random.choices("ab é,$.0日\n ", k=random.randrange(8)))


def number(random: Random) -> Any:
    """
    Return a number of any type, plain ones more often.
    """
    dice = random.random()
    if dice < 0.3:
        return random.choice(random.choice((INTEGERS, DOUBLES, DECIMALS)))
    if dice < 0.6:
        return random.randrange(-1000, 1000)
    return round(random.uniform(-1e6, 1e6), random.randrange(6))
