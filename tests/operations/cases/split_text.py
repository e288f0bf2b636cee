from random import Random

from docstore import operations as ops
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import text


def _joined(random: Random, separator: str) -> str:
    return separator.join(
        random.choice(["", "a", "日", "é", " ", "$", text(random)]) for _ in range(random.randrange(6))
    )


CASES = (
    Case(
        ops.SplitText("name", ["first", "last"], " "),
        lambda random: shaped(random, name=maybe(random, random.choice([text(random), text(random), None]))),
        lambda random: shaped(random, name=maybe(random, random.choice([text(random), text(random), None]))),
    ),
    Case(
        ops.SplitText("x.name", ["x.first", "x.name", "y.last"], "é"),
        lambda random: shaped(
            random, x=maybe(random, {}), x__name=maybe(random, text(random)), y__a=maybe(random, 1, 0.5)
        ),
        lambda random: shaped(random, x__name=maybe(random, text(random)), y__a=1),
        lambda random: shaped(random, x__name=_joined(random, "é")),
    ),
    Case(
        ops.SplitText("name", ["a", "b", "c", "d"], "$"),
        lambda random: shaped(random, name=maybe(random, "$".join(text(random) for _ in range(random.randrange(6))))),
        lambda random: shaped(random, name=maybe(random, text(random))),
        lambda random: shaped(random, name=_joined(random, "$")),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.SplitText:
    into = random.sample(paths, random.randrange(2, 4))
    return ops.SplitText(random.choice([*paths, into[0]]), into, random.choice([" ", "$", "é", "a", ".", "  "]))
