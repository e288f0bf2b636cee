from random import Random
from typing import Any

from docstore import operations as ops
from docstore.core.bson_values import RawDocument
from tests.operations.case import Case, maybe, shaped
from tests.operations.values import anything


def _items(random: Random, **makers: Any) -> Any:
    items = [
        shaped(random, **{name: maybe(random, make(random)) for name, make in makers.items()})
        for _ in range(random.randrange(4))
    ]
    return random.choice([None, *[items] * 9])


def _lines(random: Random) -> RawDocument:
    return shaped(random, lines=maybe(random, _items(random, qty=anything), 0.9))


def _nested(random: Random) -> RawDocument:
    def parts(random: Random) -> Any:
        return _items(random, a=anything, b=lambda _: 1)

    return shaped(random, x=maybe(random, {}), x__lines=maybe(random, _items(random, parts=parts, c__d=anything), 0.9))


CASES = (
    Case(
        ops.ForEach("lines", ops.RenameField("qty", "quantity"), ops.AddField("unit", "$pcs")),
        _lines,
        lambda random: shaped(random, lines=maybe(random, _items(random, qty=anything), 0.9)),
    ),
    Case(
        ops.ForEach(
            "x.lines",
            ops.RemoveField("c.e", default=1),
            ops.AddField("c.e", 2),
            ops.ForEach("parts", ops.RenameField("a", "z"), ops.CopyField("z", "y.w"), ops.AddField("a", [])),
            ops.RenameField("c.d", "f"),
            ops.AddField("c.d", "again"),
        ),
        _nested,
        None,
    ),
)


def arbitrary(random: Random, paths: list[str]) -> ops.ForEach:
    from tests.operations.cases import arbitrary_operation  # noqa: PLC0415 - it knows this module

    within = ["a", "b", "c", "y.a", "y.b", "m"]
    operations = [arbitrary_operation(random, within, depth=1) for _ in range(random.randrange(1, 4))]
    return ops.ForEach(random.choice(paths), *operations)
