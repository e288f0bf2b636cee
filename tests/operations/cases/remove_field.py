from random import Random

from docstore import operations as ops
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything

CASES = (
    Case(
        ops.RemoveField("draft", default="$x"),
        lambda random: shaped(random, draft=maybe(random, anything(random)), a=1),
        lambda random: shaped(random, draft="$x"),
    ),
    Case(
        ops.RemoveField("x.y"),
        lambda random: shaped(random, x=maybe(random, {}), x__y=maybe(random, anything(random)), x__a=maybe(random, 1)),
        None,
    ),
    Case(
        ops.RemoveField("copy", restore=ops.CopyField("kept", "copy")),
        lambda random: shaped(random, copy=maybe(random, anything(random)), kept=maybe(random, anything(random))),
        lambda random: shaped(random, copy=(value := anything(random)), kept=value),
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.RemoveField:
    path = random.choice(paths)
    return ops.RemoveField(path, default=anything(random)) if random.random() < 0.7 else ops.RemoveField(path)
