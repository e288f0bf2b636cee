from random import Random

from bson.decimal128 import Decimal128

from docstore import operations as ops
from docstore.core.bson_values import RawDocument
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything


def _flat(random: Random) -> RawDocument:
    return shaped(random, status=maybe(random, anything(random), 0.4))


def _nested(random: Random) -> RawDocument:
    return shaped(
        random, x=maybe(random, {}), x__a=maybe(random, anything(random)), x__b=maybe(random, anything(random), 0.4)
    )


def _deep(random: Random) -> RawDocument:
    return shaped(
        random, x=maybe(random, {}, 0.5), x__y__c=maybe(random, 1, 0.5), x__y__z=maybe(random, anything(random), 0.3)
    )


CASES = (
    Case(ops.AddField("status", "$new"), _flat, shaped),
    Case(
        ops.AddField("x.b", {"$a": ["$b", {"c.d": None}]}),
        _nested,
        lambda random: shaped(random, x__a=anything(random)),
    ),
    Case(ops.AddField("x.y.z", Decimal128("1.50")), _deep, lambda random: shaped(random, x__y__c=anything(random))),
)


def arbitrary(random: Random, paths: list[str]) -> ops.AddField:
    return ops.AddField(random.choice(paths), anything(random))
