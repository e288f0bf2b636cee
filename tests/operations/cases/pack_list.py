from random import Random
from typing import Any

from docstore import operations as ops
from docstore.core.bson_values import RawDocument
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything


def _all_or_none(random: Random, *names: str, **others: Any) -> RawDocument:
    share = 1.0 if random.random() < 0.85 else 0.0
    return shaped(random, **{name: maybe(random, anything(random), share) for name in names}, **others)


CASES = (
    Case(
        ops.PackList(["longitude", "latitude"], into="coordinates"),
        lambda random: _all_or_none(random, "longitude", "latitude"),
        lambda random: _all_or_none(random, "longitude", "latitude"),
    ),
    Case(
        ops.PackList(["x.a", "x.b", "c"], into="x.y.list"),
        lambda random: _all_or_none(random, "x__a", "x__b", "c"),
        lambda random: _all_or_none(random, "x__a", "x__b", "c", x__y__z=1),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.PackList:
    return ops.PackList(random.sample(paths, random.randrange(1, 4)), random.choice(paths))
