from random import Random
from typing import Any

from docstore import operations as ops
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything


def _list(random: Random, size: int) -> list[Any]:
    return [anything(random) for _ in range(size)]


CASES = (
    Case(
        ops.UnpackList("coordinates", into=["longitude", "latitude"]),
        lambda random: shaped(random, coordinates=maybe(random, random.choice([_list(random, 2), None]))),
        lambda random: shaped(random, coordinates=maybe(random, _list(random, 2))),
    ),
    Case(
        ops.UnpackList("x.list", into=["x.a", "y.b", "x.c"]),
        lambda random: shaped(
            random, x=maybe(random, {}), x__list=maybe(random, _list(random, 3)), y=maybe(random, {}, 0.5)
        ),
        lambda random: shaped(random, x__list=maybe(random, _list(random, 3)), y__c=1),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.UnpackList:
    return ops.UnpackList(random.choice(paths), random.sample(paths, random.randrange(1, 4)))
