from random import Random

from docstore import operations as ops
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything

CASES = (
    Case(
        ops.CopyField("email", "mail"),
        lambda random: shaped(random, email=maybe(random, anything(random))),
        lambda random: shaped(random, email=maybe(random, anything(random))),
    ),
    Case(
        ops.CopyField("x.email", "contact.email.first"),
        lambda random: shaped(random, x__email=maybe(random, anything(random)), contact__name=maybe(random, 1, 0.5)),
        lambda random: shaped(random, x__email=maybe(random, anything(random)), contact__email__last=1),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.CopyField:
    return ops.CopyField(*random.sample(paths, 2))
