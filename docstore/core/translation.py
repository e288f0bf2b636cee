"""
A filter of the latest shape, asked of rows in an older one.

Every operation says where a path of its newer shape comes from (`origins`); a filter goes back through the operations,
the newest first, and is a filter of the older shape in the end. Where a part of it cannot be said exactly, what is left
is wider: it matches every row whose upgraded form matches, and others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson.dbref import DBRef

from docstore.core.bson_values import type_name
from docstore.core.chance import without_chance
from docstore.core.operation import Operation
from docstore.core.origins import Defaulted, Gone, Mapped, Moved, Origin, Wrapped, outer_of
from docstore.core.paths import MISSING, FieldPath, dotted
from docstore.core.predicates import Answer, holds
from docstore.core.query import read_query
from docstore.core.step import Step
from docstore.core.wrapped_condition import before_wrapping

#: Matches every row.
EVERY: Final[Mapping[str, Any]] = {}
#: Matches none.
NEVER: Final[Mapping[str, Any]] = {"$alwaysFalse": 1}

#: A filter that grows beyond so many conditions on its way back is dropped: it would cost more than it saves.
MAX_CONDITIONS: Final = 100

_BRANCHES: Final = frozenset({"$and", "$or", "$nor"})

#: Types of values that a filter can list as they are: equal only to what the operation calls equal, and no pattern.
_LISTED: Final = frozenset({"null", "bool", "int", "long", "string", "objectId", "date"})


@dataclass(frozen=True, slots=True)
class Translation:
    """
    A filter for rows of an older shape.

    It matches every row that can be upgraded and whose upgraded form matches the filter that was translated; if
    *exact*, it matches no other row that can be upgraded. What it says of rows that cannot is nothing.
    """

    filter: Mapping[str, Any]
    exact: bool


@dataclass(frozen=True, slots=True)
class _Change:
    """What one operation (or function) does: the paths that it writes, and where its newer paths come from."""

    writes: frozenset[FieldPath] | None
    origin: Callable[[FieldPath], Origin]
    #: Whether the server compares values as operations do: simple collation.
    simple: bool


def translate(filter: Mapping[str, Any], steps: Sequence[Step], *, simple: bool = True) -> Translation:
    """
    Translate a filter of the shape after *steps* into one of the shape before them.

    Args:
        filter: As users write it.
        steps: In the order in which they run.
        simple: Whether the collection has no collation of its own.
    """
    # What hangs on chance is left to whoever asks the filter of the upgraded row, so that it is drawn once.
    steady = without_chance(filter)
    found = Translation(steady, exact=steady is filter)
    for step in reversed(steps):
        for change in _changes(step, simple=simple):
            if not read_query(found.filter).touched(change.writes):
                continue
            earlier = _of_filter(found.filter, change)
            if _size(earlier.filter) > MAX_CONDITIONS:
                return Translation(EVERY, exact=False)
            found = Translation(earlier.filter, exact=found.exact and earlier.exact)
    return found


def before(filter: Mapping[str, Any], operation: Operation, *, simple: bool) -> Translation:
    """
    Translate a filter of the shape after one operation into one of the shape before it; see `translate`.
    """
    if not read_query(filter).touched(operation.writes):
        return Translation(filter, exact=True)
    return _of_filter(filter, _Change(operation.writes, operation.origin, simple))


def without(filter: Mapping[str, Any], path: FieldPath) -> Translation:
    """
    Translate a filter into one that says the same of rows that hold nothing at a path, and does not ask about it.
    """
    nothing = frozenset({path})
    if not read_query(filter).touched(nothing):
        return Translation(filter, exact=True)
    return _of_filter(filter, _Change(nothing, lambda asked: Gone() if outer_of(path, asked) else None, simple=False))


def _changes(step: Step, *, simple: bool) -> list[_Change]:
    if not step.operations:
        return [_Change(step.writes, lambda _: None, simple)]
    return [_Change(operation.writes, operation.origin, simple) for operation in reversed(step.operations)]


def _size(filter: Any) -> int:
    if isinstance(filter, Mapping):
        return sum(_size(value) if key in _BRANCHES else 1 for key, value in filter.items())
    return sum(map(_size, filter)) if isinstance(filter, list) else 1


def _of_filter(filter: Any, change: _Change) -> Translation:
    if not isinstance(filter, Mapping):
        return _UNKNOWN
    return _all([_of_part(key, value, change) for key, value in filter.items()])


def _of_part(key: str, value: Any, change: _Change) -> Translation:
    looked_at = read_query({key: value})
    if looked_at.first_only and key not in _BRANCHES:
        return _UNKNOWN
    if not looked_at.first_only and not looked_at.touched(change.writes):
        return Translation({key: value}, exact=True)
    if key.startswith("$"):
        if key not in _BRANCHES or not isinstance(value, list | tuple) or not value:
            return _UNKNOWN
        parts = [_of_filter(part, change) for part in value]
        return {"$and": _all, "$or": _any, "$nor": _none}[key](parts)
    return _of_field(key, value, change)


def _of_field(path: str, condition: Any, change: _Change) -> Translation:
    # From an array position on, whatever follows lies within the value that the operation moves as a whole.
    segments = tuple(path.split("."))
    plain = next((place for place, name in enumerate(segments) if place and name.isdigit()), len(segments))
    before, within = segments[:plain], segments[plain:]
    origin = change.origin(before)
    if isinstance(origin, Gone):
        return _constant(holds(condition, MISSING))
    if isinstance(origin, Moved):
        return _moved([(*earlier, *within) for earlier in origin.paths], condition)
    if within:
        return _UNKNOWN
    if isinstance(origin, Defaulted) and change.simple:
        return _defaulted(origin, before, condition)
    if isinstance(origin, Mapped) and change.simple:
        return _mapped(origin, before, condition)
    if isinstance(origin, Wrapped) and before == origin.path:
        conditions = before_wrapping(condition)
        return _UNKNOWN if conditions is None else _all([_at(before, each) for each in conditions])
    return _UNKNOWN


def _moved(paths: Sequence[FieldPath], condition: Any) -> Translation:
    parts = [_at(path, condition) for path in paths]
    if len(parts) == 1:
        return parts[0]
    # All of them but one are empty.
    empty = holds(condition, MISSING)
    if empty is None:
        return _UNKNOWN
    return _all(parts) if empty else _any(parts)


def _defaulted(origin: Defaulted, path: FieldPath, condition: Any) -> Translation:
    asked, added, empty = _at(path, condition), _within_default(origin, path, condition), holds(condition, MISSING)
    if path[: len(origin.path)] != origin.path or added is None or empty is None:
        return _UNKNOWN
    if added is empty:
        return asked
    parents = [origin.path[:length] for length in range(1, len(origin.path))]
    under_null = _any([_at(parent, {"$type": "null"}) for parent in parents])
    if added:
        return _any([asked, _all([_at(origin.path, {"$exists": False}), _none([under_null])])])
    return _all([asked, _any([_at(origin.path, {"$exists": True}), under_null])])


def _within_default(origin: Defaulted, path: FieldPath, condition: Any) -> Answer:
    value = origin.default
    for segment in path[len(origin.path) :]:
        if isinstance(value, list):
            return None
        if isinstance(value, DBRef):
            value = value.as_doc()
        value = value.get(segment, MISSING) if isinstance(value, Mapping) else MISSING
    return holds(condition, value)


def _mapped(origin: Mapped, path: FieldPath, condition: Any) -> Translation:
    empty = holds(condition, MISSING)
    answers = [holds(condition, new) for _, new in origin.table]
    if path != origin.path or empty is None or None in answers:
        return _UNKNOWN
    if any(type_name(old) not in _LISTED for old, _ in origin.table):
        return _UNKNOWN
    matching = [old for (old, _), answer in zip(origin.table, answers, strict=True) if answer]
    listed = _is_one_of(path, matching)
    unlisted = _none([_is_one_of(path, [old for old, _ in origin.table])])
    if origin.keeps:
        return _any([listed, _all([_at(path, condition), unlisted])])
    missing = _at(path, {"$exists": False}) if empty else _FALSE
    if not origin.replaces:
        return _any([listed, missing])
    replaced = holds(condition, origin.other)
    if replaced is None:
        return _UNKNOWN
    others = _all([_at(path, {"$exists": True}), unlisted]) if replaced else _FALSE
    return _any([listed, missing, others])


def _is_one_of(path: FieldPath, values: Sequence[Any]) -> Translation:
    """Return the filter for a whole value: a list that holds one of the values is none of them."""
    if not values:
        return _FALSE
    condition: dict[str, Any] = {"$in": list(values), "$not": {"$type": "array"}}
    if None in values:
        condition["$exists"] = True
    return _at(path, condition)


def _at(path: FieldPath, condition: Any) -> Translation:
    return Translation({dotted(path): condition}, exact=True)


_TRUE: Final = Translation(EVERY, exact=True)
_FALSE: Final = Translation(NEVER, exact=True)
#: Not to be said: wide open.
_UNKNOWN: Final = Translation(EVERY, exact=False)


def _constant(answer: Answer) -> Translation:
    return _UNKNOWN if answer is None else _TRUE if answer else _FALSE


def _all(parts: Sequence[Translation]) -> Translation:
    if any(part.filter == NEVER for part in parts):
        return _FALSE
    kept: list[Mapping[str, Any]] = []
    for part in parts:
        inner = part.filter["$and"] if part.filter.keys() == {"$and"} else [part.filter]
        kept += [each for each in inner if each != EVERY]
    exact = all(part.exact for part in parts)
    if len(kept) <= 1:
        return Translation(kept[0] if kept else EVERY, exact)
    return Translation({"$and": kept}, exact)


def _any(parts: Sequence[Translation]) -> Translation:
    if any(part.filter == EVERY for part in parts):
        return Translation(EVERY, any(part.filter == EVERY and part.exact for part in parts))
    kept: list[Mapping[str, Any]] = []
    for part in parts:
        inner = part.filter["$or"] if part.filter.keys() == {"$or"} else [part.filter]
        kept += [each for each in inner if each != NEVER]
    exact = all(part.exact for part in parts)
    if len(kept) <= 1:
        return Translation(kept[0] if kept else NEVER, exact)
    return Translation({"$or": kept}, exact)


def _none(parts: Sequence[Translation]) -> Translation:
    # What is wider than it should be says nothing about what does not match.
    exact = [part for part in parts if part.exact]
    if any(part.filter == EVERY for part in exact):
        return _FALSE
    kept = [part.filter for part in exact if part.filter != NEVER]
    return Translation({"$nor": kept} if kept else EVERY, len(exact) == len(parts))
