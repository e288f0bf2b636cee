"""
How a path at the shape after an operation is read at the shape before it, where that can be said exactly.

Each of these speaks of rows that the operation takes. A row that it refuses has no shape after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from docstore.core.paths import FieldPath


@dataclass(frozen=True, slots=True)
class Moved:
    """
    What stands at the path stood at one of *paths* before, whole, or nowhere: never at two of them.

    One path, the same one, says that nothing at or below it changes.
    """

    paths: tuple[FieldPath, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """Nothing stands there after the operation, in any row."""


@dataclass(frozen=True, slots=True)
class Defaulted:
    """What stood at *path* is there as it was; where nothing stood, *default* is, unless a parent was null."""

    path: FieldPath
    default: Any


@dataclass(frozen=True, slots=True)
class Mapped:
    """
    A whole value that equals an old one of *table* became the new one.

    Attributes:
        path: Where it stands, before and after.
        table: Old and new values.
        keeps: Whether other values stay; without it they are refused, or become *other*.
        replaces: Whether other values become *other*.
        other: What they become.
    """

    path: FieldPath
    table: Sequence[tuple[Any, Any]]
    keeps: bool = False
    replaces: bool = False
    other: Any = None


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A value that is no list became the only element of one."""

    path: FieldPath


#: None: it cannot be said, or not exactly.
Origin: TypeAlias = Moved | Gone | Defaulted | Mapped | Wrapped | None


def moved_from(path: FieldPath, moves: Sequence[tuple[FieldPath, FieldPath]]) -> Origin:
    """
    Return the origin of a path where values moved as a whole, and nothing else happened.

    Args:
        path: The path after the operation.
        moves: From where to where. No value is overwritten, so a target was empty where its source was not.
    """
    for source, target in moves:
        if path[: len(target)] == target:
            return Moved(((*source, *path[len(target) :]), path))
        if path[: len(source)] == source:
            return Gone()
    if any(outer_of(path, end) for move in moves for end in move):
        return None
    return Moved((path,))


def outer_of(path: FieldPath, other: FieldPath) -> bool:
    """Tell whether *other* lies within the field at *path*, or is that field."""
    return other[: len(path)] == path
