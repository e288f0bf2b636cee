"""Three ways meet: the stored row, the model it was read as, and the model as it is now."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.bson_values import RawDocument, comparison_key, encode, identical
from docstore.core.paths import MISSING


@dataclass(frozen=True, slots=True)
class Sameness:
    """
    When two values are the same: *same* tells it, and values that are the same have the same *key*.
    """

    same: Callable[[Any, Any], bool]
    key: Callable[[Any], Hashable]


def _compares_equal(first: Any, second: Any) -> bool:
    return identical(first, second) or comparison_key(first) == comparison_key(second)


#: They are the same BSON.
IDENTICAL: Final = Sameness(identical, lambda value: encode({"": value}))
#: The server's `$eq` calls them equal.
EQUAL: Final = Sameness(_compares_equal, comparison_key)


def merge(
    stored: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any], *, by: Sameness = IDENTICAL
) -> RawDocument:
    """
    Return the stored row with exactly those changes that lead from *before* to *now*.

    What is the same in *before* and *now* keeps its stored value, so that its BSON type stays what it is. Fields that
    neither of them has (the model does not know them) survive at every depth. A field that *before* has and *now* has
    not is removed.

    Elements of arrays are taken to be the same where the same position holds the same, else wherever an element of
    *before* is found again. One that is found nowhere keeps the unknown fields of its position only if the length did
    not change: in an array that grew or shrank nobody can tell which element it was.

    Args:
        stored: The row at the latest shape.
        before: What the model that was read from *stored* encodes to.
        now: What it encodes to after the change.
        by: What counts as no change.
    """
    merged: RawDocument = {}
    for name, value in stored.items():
        if name in now:
            merged[name] = merged_value(value, before.get(name, MISSING), now[name], by=by)
        elif name not in before:
            merged[name] = value
    for name, value in now.items():
        # A default that was not stored, and was not changed, is not stored now.
        if name not in stored and (name not in before or not by.same(before[name], value)):
            merged[name] = value
    if list(now) != [name for name in before if name in now] + [name for name in now if name not in before]:
        order = [name for name in now if name in merged]
        return {name: merged[name] for name in dict.fromkeys((*order, *merged))}
    return merged


def merged_value(stored: Any, before: Any, now: Any, *, by: Sameness = IDENTICAL) -> Any:
    """
    Return one stored value with the change that leads from *before* to *now*; see `merge`.
    """
    if before is MISSING:
        return now
    if by.same(before, now):
        return stored
    if isinstance(stored, dict) and isinstance(before, dict) and isinstance(now, dict):
        return merge(stored, before, now, by=by)
    if isinstance(stored, list) and isinstance(before, list) and isinstance(now, list):
        return _elements(stored, before, now, by)
    return now


def _elements(stored: Sequence[Any], before: Sequence[Any], now: Sequence[Any], by: Sameness) -> list[Any]:
    if len(stored) != len(before):
        # The model dropped or added elements: positions tell nothing.
        return list(now)
    old = [by.key(element) for element in before]
    new = [by.key(element) for element in now]
    origin: list[int | None] = [
        place if place < len(old) and old[place] == element else None for place, element in enumerate(new)
    ]
    taken = {place for place in origin if place is not None}
    free: dict[Hashable, list[int]] = {}
    for place in reversed(range(len(old))):
        if place not in taken:
            free.setdefault(old[place], []).append(place)
    for place, element in enumerate(new):
        if origin[place] is None and free.get(element):
            origin[place] = free[element].pop()
    taken = {place for place in origin if place is not None}
    merged: list[Any] = []
    for place, element in enumerate(now):
        source = origin[place]
        if source is not None:
            merged.append(stored[source])
        elif len(now) == len(before) and place not in taken:
            merged.append(merged_value(stored[place], before[place], element, by=by))
        else:
            merged.append(element)
    return merged
