from random import Random
from typing import Any

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from docstore import operations as ops
from docstore.core.bson_values import comparison_key
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything

PAIRS: list[tuple[Any, Any]] = [
    (1, "one"),
    (True, "$yes"),
    ("a", "active"),
    (None, 0),
    (float("nan"), None),
    ([1, 2], {"$x": 1}),
    ({"a": 1, "b": 2}, [None]),
]
SAME_AS_OLD: list[Any] = [
    1,
    1.0,
    Int64(1),
    Decimal128("1.00"),
    True,
    "a",
    None,
    float("nan"),
    [1, 2.0],
    {"a": Int64(1), "b": 2.0},
]
LIKE_OLD: list[Any] = [
    {"b": 2, "a": 1},
    {"a": 1},
    {"a": 1, "b": 2, "c": 3},
    [2, 1],
    [[1, 2]],
    "1",
    "A",
    0,
    False,
    Decimal128("sNaN"),
]
OLD: list[Any] = [old for old, _ in PAIRS]

CASES = (
    Case(
        ops.MapValues("status", {"a": "active", "d": "deleted"}),
        lambda random: shaped(random, status=maybe(random, random.choice("ad"))),
        lambda random: shaped(random, status=maybe(random, random.choice("ad"))),
    ),
    Case(
        ops.MapValues("x.status", PAIRS),
        lambda random: shaped(random, x=maybe(random, {}), x__status=maybe(random, random.choice(SAME_AS_OLD))),
        lambda random: shaped(random, x=maybe(random, {}), x__status=maybe(random, random.choice(OLD))),
        lambda random: shaped(random, x__status=random.choice([*SAME_AS_OLD, *LIKE_OLD])),
    ),
    Case(
        ops.MapValues("status", PAIRS, other="keep"),
        lambda random: shaped(random, status=maybe(random, random.choice([*SAME_AS_OLD, anything(random)]))),
        lambda random: shaped(random, status=maybe(random, random.choice([*OLD, 77, "kept"]))),
    ),
    Case(
        ops.MapValues("status", PAIRS, other=ops.Value("$other")),
        lambda random: shaped(random, status=maybe(random, random.choice([*SAME_AS_OLD, anything(random)]))),
        None,
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.MapValues:
    old = [1, 2, "a", "b", None, *(anything(random) for _ in range(3))]
    distinct = {comparison_key(value): value for value in old}
    other: Any = random.choice(["keep", "keep", "refuse", ops.Value(anything(random))])
    return ops.MapValues(random.choice(paths), [(value, anything(random)) for value in distinct.values()], other=other)
