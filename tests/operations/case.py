"""
What a test needs to know of an operation: documents that it expects, and documents for which its inverse is exact.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from docstore.core.bson_values import RawDocument
from docstore.core.operation import Operation
from docstore.core.paths import FieldPath
from tests.operations.values import anything, document

#: Makes a document.
Maker: TypeAlias = Callable[[Random], RawDocument]
#: Makes a value.
Make: TypeAlias = Callable[[Random], Any]


@dataclass(frozen=True)
class Case:
    """
    One operation with documents for it.

    Attributes:
        operation: The operation.
        expected: Makes documents whose types are those that the operation expects.
        before: Makes documents for which the inverse is exact; None if the operation has none.
        odd: Makes documents on the edges of what the operation takes; by default expected ones, disturbed.
    """

    operation: Operation
    expected: Maker
    before: Maker | None
    odd: Maker | None = None

    @property
    def name(self) -> str:
        """
        The name under which users know the operation.
        """
        return type(self.operation).__name__


def shaped(random: Random, **fields: Any) -> RawDocument:
    """
    Return a document with the given fields and some others, in any order; `x__y` stands for the path x.y.

    A field whose value is `...` is left out.
    """
    made: RawDocument = {f"other{name}": anything(random) for name in range(random.randrange(3))}
    names = list(fields)
    random.shuffle(names)
    for name in names:
        if fields[name] is ...:
            continue
        holder = made
        *parents, last = name.split("__")
        for parent in parents:
            holder = holder.setdefault(parent, {})
        holder[last] = fields[name]
    keys = list(made)
    random.shuffle(keys)
    return {key: made[key] for key in keys}


def maybe(random: Random, value: Any, share: float = 0.7) -> Any:
    """
    Return the value, or `...` for "leave it out".
    """
    return value if random.random() < share else ...


def odd_row(random: Random, case: Case) -> RawDocument:
    """
    Return a document that the operation may not expect.
    """
    if case.odd is not None and random.random() < 0.7:
        return case.odd(random)
    return _disturbed(random, case.operation, case.expected(random))


def _disturbed(random: Random, operation: Operation, given: RawDocument) -> RawDocument:
    """
    Return a document in which something at or above the operation's paths is not as it should be.
    """
    row: RawDocument = _copied(given)
    paths = sorted(path for path in operation.reads | operation.writes if path)
    for _ in range(random.choice((1, 1, 2, 3))):
        path = random.choice(paths)
        path = (*path, random.choice("abq")) if random.random() < 0.15 else path[: random.randrange(len(path)) + 1]
        _disturb(random, row, path)
    return row


def _disturb(random: Random, row: RawDocument, path: FieldPath) -> None:
    holder: Any = row
    for name in path[:-1]:
        if name not in holder:
            holder[name] = {}
        holder = holder[name]
        if isinstance(holder, list) and holder:
            holder = random.choice(holder)
        if not isinstance(holder, dict):
            return
    dice = random.random()
    if dice < 0.2:
        holder.pop(path[-1], None)
    elif dice < 0.35:
        holder[path[-1]] = None
    elif dice < 0.45:
        holder[path[-1]] = document(random)
    elif dice < 0.55:
        holder[path[-1]] = [document(random) for _ in range(random.randrange(3))]
    else:
        holder[path[-1]] = anything(random)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
