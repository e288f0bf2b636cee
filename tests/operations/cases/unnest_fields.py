from random import Random

from docstore import operations as ops
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything

CASES = (
    Case(
        ops.UnnestFields("country", {"code": "countrycode", "admin1": "admin1code"}),
        lambda random: shaped(
            random,
            country=maybe(random, {}, 0.9),
            country__code=maybe(random, anything(random)),
            country__admin1=maybe(random, anything(random)),
            country__rest=maybe(random, 1, 0.3),
        ),
        lambda random: shaped(
            random,
            country__code=maybe(random, anything(random)),
            country__admin1=maybe(random, anything(random)),
            country__rest=maybe(random, 1, 0.3),
        ),
    ),
    Case(
        ops.UnnestFields("x.y", ["a", "b"]),
        lambda random: shaped(
            random,
            x=maybe(random, {}),
            x__y__a=maybe(random, anything(random)),
            x__y__b=maybe(random, anything(random)),
            x__c=maybe(random, 1, 0.5),
        ),
        lambda random: shaped(random, x__y__a=maybe(random, anything(random)), x__c=1),
    ),
    Case(
        ops.UnnestFields("x", {"a": "p.q.a", "b": "p.b", "c": "p.q.c"}),
        lambda random: shaped(
            random,
            x=maybe(random, {}),
            x__a=maybe(random, anything(random)),
            x__b=maybe(random, anything(random)),
            x__c=maybe(random, anything(random)),
            p__z=maybe(random, 1, 0.3),
        ),
        lambda random: shaped(random, x__a=1, x__b=maybe(random, 2), p__q__z=1),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.UnnestFields:
    names = random.sample("abcy", random.randrange(1, 4))
    targets = random.sample(paths, len(names))
    return ops.UnnestFields(random.choice(paths), dict(zip(names, targets, strict=True)))
