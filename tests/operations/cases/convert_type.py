import datetime
import math
from random import Random
from typing import Any

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from docstore import operations as ops
from docstore.core.bson_values import RawDocument
from tests.operations.case import Case, Make, Maker, maybe, shaped
from tests.operations.values import DECIMALS, DOUBLES, INTEGERS, MOMENTS, TEXTS, number, scalar

TYPES: tuple[type, ...] = (int, Int64, float, str, bool, datetime.datetime, Decimal128, ObjectId)


def _whole(random: Random) -> Any:
    value = random.randrange(-(10**6), 10**6)
    return random.choice([value, Int64(value * 10**6), float(value), str(value), Decimal128(str(value)), value > 0])


def _real(random: Random) -> Any:
    value = round(random.uniform(-1e6, 1e6), random.randrange(9))
    return random.choice([value, repr(value), str(int(value)), Decimal128(repr(value)), int(value), Int64(int(value))])


def _moment(random: Random) -> Any:
    milliseconds = random.randrange(-(10**13), 10**13)
    moment = datetime.datetime.fromisoformat("1970-01-01") + datetime.timedelta(milliseconds=milliseconds)
    return random.choice(
        [
            moment,
            moment.isoformat(timespec="milliseconds") + "Z",
            moment.isoformat(timespec="seconds") + random.choice(["", "Z", "+02:00", "-09:30"]),
            moment.date().isoformat(),
            Int64(milliseconds),
        ]
    )


def _object_id(random: Random) -> Any:
    value = ObjectId(random.randbytes(12))
    return random.choice([value, str(value), str(value).upper()])


def _flag(random: Random) -> Any:
    return random.choice([True, False, 0, 1, "true", "false", 0.0, 1.0, Int64(1), Decimal128("1.0")])


def _odd(random: Random) -> Any:
    edges: tuple[Any, ...] = random.choice((INTEGERS, DOUBLES, DECIMALS, TEXTS, MOMENTS))
    return random.choice([random.choice(edges), random.choice(edges), number(random), _written(random)])


def _written(random: Random) -> str:
    """
    Return a text that is nearly a number, a moment or an id.
    """
    text = str(random.choice([_whole, _real, _moment, _object_id, _flag])(random))
    place = random.randrange(len(text) + 1)
    return (
        text[:place]
        + random.choice(["", "", "0", "9", "-", "+", ".", "e", "e5", "Z", " ", "\n", "x", "T", ":"])
        + text[place:]
    )


def _textual(random: Random) -> Any:
    makers: list[Make] = [_whole, _real, _flag, _object_id, lambda random: random.choice(TEXTS)]
    return random.choice(makers)(random)


def _odd_field(path: str) -> Maker:
    return lambda random: shaped(random, **{path: _odd(random)})


def _field(path: str, make: Any) -> Maker:
    def made(random: Random) -> RawDocument:
        return shaped(random, **{path: maybe(random, random.choice([make(random)] * 9 + [None]), 0.9)})

    return made


MAKERS: dict[type, Any] = {
    int: _whole,
    Int64: _whole,
    float: _real,
    str: _textual,
    bool: _flag,
    datetime.datetime: _moment,
    Decimal128: _real,
    ObjectId: _object_id,
}

CASES = (
    *(
        Case(ops.ConvertType("value", to), _field("value", make), None, _odd_field("value"))
        for to, make in MAKERS.items()
    ),
    *(
        Case(ops.ConvertType("x.y", to, on_error=ops.Value("$bad")), _field("x__y", make), None, _odd_field("x__y"))
        for to, make in MAKERS.items()
    ),
    Case(
        ops.ConvertType("n", str, was=int),
        _field("n", _textual),
        _field("n", lambda random: random.choice([1, -5, 2**31 - 1, Int64(2**40)])),
    ),
    Case(
        ops.ConvertType("n", float, was=str),
        _field("n", _real),
        _field("n", lambda random: repr(random.uniform(-1e9, 1e9))),
    ),
    Case(
        ops.ConvertType("n", Decimal128, was=float),
        _field("n", _real),
        _field("n", lambda random: random.choice([value for value in DOUBLES if not math.isnan(value)])),
    ),
    Case(
        ops.ConvertType("at", str, was=datetime.datetime),
        _field("at", _moment),
        _field("at", lambda random: random.choice(MOMENTS[:5])),
    ),
    Case(
        ops.ConvertType("id", ObjectId, was=str),
        _field("id", _object_id),
        _field("id", lambda random: str(ObjectId(random.randbytes(12)))),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.ConvertType:
    on_error: Any = random.choice(["refuse", ops.Value(scalar(random))])
    was = random.choice([None, *TYPES])
    return ops.ConvertType(random.choice(paths), random.choice(TYPES), on_error, was=was)
