from random import Random

from docstore import operations as ops
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything

CASES = (
    Case(
        ops.RenameField("zip", "postcode"),
        lambda random: shaped(random, zip=maybe(random, anything(random))),
        lambda random: shaped(random, zip=maybe(random, anything(random))),
    ),
    Case(
        ops.RenameField("zip", "address.postcode"),
        lambda random: shaped(random, zip=maybe(random, anything(random)), address=maybe(random, {"city": 1})),
        lambda random: shaped(random, zip=maybe(random, anything(random)), address={"city": 1}),
    ),
    Case(
        ops.RenameField("x.y.a", "z.b"),
        lambda random: shaped(random, x__y__a=maybe(random, anything(random)), z__c=maybe(random, 1, 0.5)),
        lambda random: shaped(random, x__y__a=maybe(random, anything(random)), z__c=1),
    ),
    Case(
        ops.RenameField("x.a", "x.b"),
        lambda random: shaped(random, x=maybe(random, {}), x__a=maybe(random, anything(random)), x__c=1),
        lambda random: shaped(random, x__a=maybe(random, anything(random)), x__c=1),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.RenameField:
    return ops.RenameField(*random.sample(paths, 2))
