from random import Random

from docstore import operations as ops
from tests.operations.case import Case, Maker, maybe, shaped
from tests.operations.values import anything


def _field(path: str) -> Maker:
    def single(random: Random) -> object:
        value = anything(random)
        return value if not isinstance(value, list) else "no list"

    return lambda random: shaped(random, **{path: maybe(random, single(random))})


CASES = (
    Case(ops.WrapInList("author"), _field("author"), _field("author")),
    Case(ops.WrapInList("x.author"), _field("x__author"), _field("x__author")),
)


def arbitrary(random: Random, paths: list[str]) -> ops.WrapInList:
    return ops.WrapInList(random.choice(paths))
