"""A condition on a list of one element, asked of that element while it still stands by itself."""

from collections.abc import Mapping
from typing import Any, Final

from bson.max_key import MaxKey
from bson.min_key import MinKey

from docstore.core.predicates import is_operators, is_regex, type_names

#: They match a list by any of its elements.
_BY_ELEMENT: Final = frozenset({"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$regex", "$options", "$mod", "$exists"})
_WITHIN_ELEMENT: Final = frozenset({*_BY_ELEMENT, "$in", "$nin", "$type"} - {"$exists"})
_SOMETHING: Final[Mapping[str, Any]] = {"$exists": True}
_NOTHING: Final[Mapping[str, Any]] = {"$in": []}


def before_wrapping(condition: Any) -> list[Any] | None:
    """
    Return the conditions that all match a value that is no list exactly if *condition* matches the list of it.

    They match a missing field exactly if *condition* does. None where there is no such thing.
    """
    if not is_operators(condition):
        return None if isinstance(condition, list | tuple) else [condition]
    conditions: list[Any] = []
    together: dict[str, Any] = {}
    for name, operand in condition.items():
        changed = _before(name, operand)
        if changed is None:
            return None
        if name in changed and len(changed) == 1:
            together |= changed
        else:
            conditions.append(changed)
    return [*([together] if together else []), *conditions]


def _before(name: str, operand: Any) -> dict[str, Any] | None:
    lists = isinstance(operand, list | tuple)
    if isinstance(operand, MinKey | MaxKey):
        # They compare with the list itself, too.
        return None
    if name in _BY_ELEMENT:
        return None if lists and name != "$mod" else {name: operand}
    if name in {"$in", "$nin", "$all"} and lists:
        plain = not any(isinstance(each, list | tuple) or is_operators(each) for each in operand)
        return {name: operand} if plain else None
    if name == "$type":
        names = type_names(operand)
        if names is None:
            return None
        return dict(_SOMETHING) if "array" in names else {name: operand}
    if name == "$size":
        return dict(_SOMETHING if operand == 1 else _NOTHING) if type(operand) is int and operand >= 0 else None
    if name == "$elemMatch":
        return _of_the_element(operand)
    if name == "$not":
        if is_regex(operand):
            return {name: operand}
        inner = before_wrapping(operand)
        return {name: inner[0]} if inner is not None and len(inner) == 1 and is_operators(inner[0]) else None
    return None


def _of_the_element(operand: Any) -> dict[str, Any] | None:
    if not is_operators(operand) or not operand.keys() <= _WITHIN_ELEMENT:
        return None
    if any(
        isinstance(each, list | tuple) for name, each in operand.items() if name not in {"$mod", "$in", "$nin", "$type"}
    ):
        return None
    return {**_SOMETHING, **operand}
