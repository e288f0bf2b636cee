from random import Random
from typing import Any

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.timestamp import Timestamp

from docstore import operations as ops
from tests.operations.case import Case, Make, maybe, shaped
from tests.operations.values import anything, number, text


def _list(random: Random) -> Any:
    makers: list[Make] = [text, number, anything, lambda random: random.choice("abc")]
    make = random.choice(makers)
    return [make(random) for _ in range(random.randrange(6))]


def _similar(random: Random) -> Any:
    """
    Return values of which some are the same to the server and some are not, though they look alike.
    """
    numbers: list[Any] = [1, 1.0, Int64(1), Decimal128("1.0"), Decimal128("1"), True, "1", 0, -0.0, None]
    numbers += [2**53, 2.0**53, Int64(2**53 + 1), Decimal128("9007199254740993"), 0.1, Decimal128("0.1")]
    numbers += [float("nan"), Decimal128("NaN"), float("inf"), Decimal128("Infinity"), DatetimeMS(1), Timestamp(0, 1)]
    one, other = random.choice(numbers), random.choice(numbers)
    nested = [[one], {"a": one, "b": other}, {"b": other, "a": one}, {"a": one}, {"a": [one]}, [one, other], [], {}]
    return random.choice([one, random.choice(nested)])


def _source(random: Random) -> Any:
    return maybe(random, random.choice([_list(random), _list(random), anything(random), None]), 0.85)


CASES = (
    Case(
        ops.ConcatLists("names", "name", "others", unique=True, keep=True),
        lambda random: shaped(random, name=_source(random), others=_source(random)),
        lambda random: shaped(random, name=_source(random), others=_source(random)),
        lambda random: shaped(random, name=_similar(random), others=[_similar(random) for _ in range(9)]),
    ),
    Case(
        ops.ConcatLists("x.all", "x.a", "b", "c.d"),
        lambda random: shaped(
            random, x=maybe(random, {}), x__a=_source(random), b=_source(random), c__d=_source(random)
        ),
        None,
    ),
    Case(
        ops.ConcatLists("tags", "tag", "tags", unique=True),
        lambda random: shaped(random, tag=_source(random), tags=_source(random)),
        None,
    ),
    Case(
        ops.ConcatLists("x.tags", "x.tags", keep=True),
        lambda random: shaped(random, x=maybe(random, {}), x__tags=_source(random)),
        None,
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.ConcatLists:
    sources = random.sample(paths, random.randrange(1, 4))
    flags = {"unique": random.random() < 0.5, "keep": random.random() < 0.5}
    return ops.ConcatLists(random.choice([*paths, sources[0]]), *sources, **flags)
