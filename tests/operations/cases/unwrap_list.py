from random import Random
from typing import Any

from docstore import operations as ops
from docstore.core.bson_values import RawDocument
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything


def _list(random: Random, most: int = 4) -> Any:
    return random.choice([None, *[[anything(random) for _ in range(random.randrange(most))]] * 9])


def _one(random: Random) -> list[Any]:
    value = anything(random)
    return ["no list" if isinstance(value, list) else value]


def _before(random: Random) -> RawDocument:
    return shaped(random, author=maybe(random, _one(random)))


CASES = (
    Case(ops.UnwrapList("author"), lambda random: shaped(random, author=maybe(random, _list(random))), _before),
    Case(
        ops.UnwrapList("author", extra="refuse"),
        lambda random: shaped(random, author=maybe(random, _list(random, most=2))),
        _before,
    ),
    Case(
        ops.UnwrapList("x.y.author"),
        lambda random: shaped(random, x=maybe(random, {}), x__y__author=maybe(random, _list(random)), x__a=1),
        lambda random: shaped(random, x__y__author=maybe(random, _one(random))),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.UnwrapList:
    return ops.UnwrapList(random.choice(paths), extra=random.choice(["drop", "refuse"]))
