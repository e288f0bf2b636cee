from random import Random

from docstore import operations as ops
from docstore.core.bson_values import RawDocument
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import text


def _exact(random: Random) -> RawDocument:
    present = random.randrange(3)
    parts = [text(random).replace(" ", "_"), text(random)] if present == 2 else [text(random)][:present]
    if present == 1:
        parts = [parts[0].replace(" ", "_")]
    return shaped(random, **dict(zip(("first", "last"), parts, strict=False)))


CASES = (
    Case(
        ops.JoinText(["first", "last"], "name", " "),
        lambda random: shaped(random, first=maybe(random, text(random)), last=maybe(random, text(random))),
        _exact,
    ),
    Case(
        ops.JoinText(["x.a", "b", "x.c"], "x.c", "$"),
        lambda random: shaped(
            random,
            x=maybe(random, {}),
            x__a=maybe(random, text(random)),
            b=maybe(random, text(random)),
            x__c=maybe(random, text(random)),
        ),
        lambda random: shaped(random, x__a="p", b="q", x__c=text(random)),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.JoinText:
    sources = random.sample(paths, random.randrange(2, 4))
    return ops.JoinText(sources, random.choice([*paths, sources[0]]), random.choice([" ", "$", "é", "", "$a"]) or ",")
