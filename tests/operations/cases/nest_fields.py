from random import Random

from docstore import operations as ops
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything

CASES = (
    Case(
        ops.NestFields({"countrycode": "code", "admin1code": "admin1"}, into="country"),
        lambda random: shaped(
            random,
            countrycode=maybe(random, anything(random)),
            admin1code=maybe(random, anything(random)),
            country=maybe(random, {"name": 1}, 0.2),
        ),
        lambda random: shaped(
            random,
            countrycode=maybe(random, anything(random)),
            admin1code=maybe(random, anything(random)),
            country=maybe(random, {"name": 1}, 0.2),
        ),
    ),
    Case(
        ops.NestFields(["a", "x.b", "x.c"], into="x.y"),
        lambda random: shaped(
            random,
            a=maybe(random, anything(random)),
            x=maybe(random, {}),
            x__b=maybe(random, anything(random)),
            x__c=maybe(random, anything(random)),
            x__y=maybe(random, {"q": 1}, 0.3),
        ),
        lambda random: shaped(random, a=maybe(random, 1), x__b=maybe(random, 2), x__d=3),
    ),
    Case(
        ops.NestFields(["a"], into="p.q.r"),
        lambda random: shaped(random, a=maybe(random, anything(random)), p=maybe(random, {}, 0.5)),
        lambda random: shaped(random, a=maybe(random, anything(random)), p__q__s=1),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.NestFields:
    sources = random.sample(paths, random.randrange(1, 4))
    names = random.sample(["a", "b", "n1", "n2"], len(sources))
    return ops.NestFields(dict(zip(sources, names, strict=True)), random.choice(paths))
