"""
How an update of one path after an operation is made before it, where both come out the same, to the byte.

What an operation does to a row and what an update does to it may be done in either order where the update changes a
value in its place, or where only the order of fields at the top level hangs on it. Where a field would be added to a
document that the operation works on, or the last one removed from it, the two orders differ. Such rows are kept out by
conditions, as far as these can be asked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.paths import FieldPath, dotted, overlap

#: The operator that takes a field away. All others leave it there, or make it.
UNSET: Final = "$unset"
#: The operator whose operand is a path too.
RENAME: Final = "$rename"


@dataclass(frozen=True, slots=True)
class PathUpdate:
    """
    One update operator on one path. Segments of the path may be positions in lists (`0`, `$`, `$[]`, `$[name]`).
    """

    operator: str
    path: FieldPath
    operand: Any


@dataclass(frozen=True, slots=True)
class Earlier:
    """
    An update of rows before an operation that makes of them what another one makes of them after it.

    That is said of rows that the operation takes, that match all *conditions*, and that hold nothing at *absent*; and
    of at most one update with *removes* at a time.
    """

    update: PathUpdate
    conditions: tuple[Mapping[str, Any], ...] = ()
    absent: tuple[FieldPath, ...] = ()
    #: Whether it takes away one of several fields of a document, of which another has to be left.
    removes: bool = False


def beside(update: PathUpdate, paths: Collection[FieldPath], *, parents_stay: bool = True) -> Earlier | None:
    """
    Return the same update, if it has nothing to do with what an operation reads and writes.

    Args:
        update: What is done after the operation.
        paths: What the operation reads and writes.
        parents_stay: Whether a document stays from which the operation takes the last field.
    """
    if () in paths:
        return None
    ends = [update.path]
    if update.operator == RENAME:
        ends.append(tuple(str(update.operand).split(".")))
    if all(end[0] != path[0] for path in paths for end in ends):
        return Earlier(update)
    if update.operator == RENAME or any(overlap(update.path, path) for path in paths):
        return None
    if update.operator == UNSET and parents_stay:
        return Earlier(update)
    # Within a document in which the operation adds fields, one that is new would come before these, not after.
    depth = 1 + max(_in_common(update.path, path) for path in paths)
    held = update.path[:depth]
    if update.operator == UNSET or not all(map(_is_name, held)):
        return None
    return Earlier(update, conditions=(something_at(held),))


def moved(
    update: PathUpdate, moves: Sequence[tuple[FieldPath, FieldPath]], *, parents_stay: bool = False
) -> Earlier | None:
    """
    Return the update of a value where it stood before it was moved as a whole.

    Args:
        update: What is done after the operation.
        moves: From where to where; see `moved_from`.
        parents_stay: Whether a document stays from which the operation takes the last field.
    """
    for source, target in moves:
        within = update.path[len(target) :]
        if update.path[: len(target)] != target:
            continue
        earlier = PathUpdate(update.operator, (*source, *within), update.operand)
        if update.operator == RENAME:
            return None
        if len(source) == len(target) == 1:
            return Earlier(earlier, absent=(target,))
        if update.operator != UNSET or within:
            return Earlier(earlier, conditions=(something_at(source),), absent=(target,))
        others = [something_at(other) for other, _ in moves if other != source]
        if not others:
            return None
        return Earlier(earlier, conditions=(something_at(source), {"$or": others}), absent=(target,), removes=True)
    return beside(update, [end for move in moves for end in move], parents_stay=parents_stay)


def something_at(path: FieldPath) -> Mapping[str, Any]:
    """
    Return the condition that something stands at a path.
    """
    return {dotted(path): {"$exists": True}}


def nothing_at(path: FieldPath) -> Mapping[str, Any]:
    """
    Return the condition that nothing stands there.
    """
    return {dotted(path): {"$exists": False}}


def _in_common(first: FieldPath, second: FieldPath) -> int:
    shorter = min(len(first), len(second))
    return next((place for place in range(shorter) if first[place] != second[place]), shorter)


def _is_name(segment: str) -> bool:
    return bool(segment) and not segment.isdigit() and not segment.startswith("$")
