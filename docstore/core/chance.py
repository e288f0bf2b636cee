"""
Parts of a filter whose answer hangs on chance: asked twice of the same row, they draw twice.
"""

from collections.abc import Mapping
from typing import Any, Final

_BRANCHES: Final = frozenset({"$and", "$or", "$nor"})


def hangs_on_chance(filter: Any) -> bool:
    """Tell whether a filter draws rows by chance (`$sampleRate`, or `$rand` in an expression)."""
    if not isinstance(filter, Mapping):
        return False
    return any(
        key == "$sampleRate"
        or (key == "$expr" and _draws(value))
        or (key in _BRANCHES and isinstance(value, list | tuple) and any(map(hangs_on_chance, value)))
        for key, value in filter.items()
    )


def without_chance(filter: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Return the part of a filter that says the same whenever it is asked: what matches the filter matches this part.
    """
    if not hangs_on_chance(filter):
        return filter
    kept: dict[str, Any] = {}
    for key, value in filter.items():
        if key == "$and":
            parts = [without_chance(part) if isinstance(part, Mapping) else part for part in value]
            if parts := [part for part in parts if part]:
                kept[key] = parts
        elif not hangs_on_chance({key: value}):
            kept[key] = value
    return kept


def _draws(expression: Any) -> bool:
    if isinstance(expression, Mapping):
        return any(key == "$rand" or (key != "$literal" and _draws(value)) for key, value in expression.items())
    return isinstance(expression, list | tuple) and any(map(_draws, expression))
