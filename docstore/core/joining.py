"""
The equality of a `$lookup` as an expression, for rows that are upgraded only inside its pipeline.

A server asks `foreignField` of the rows as they are stored, before the pipeline begins. Where a step changes that
field, the question has to come after the upgrade, and there it can only be an expression.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_LOCAL: Final = "dsLocal"
_EACH: Final = "$$dsEach"


def free_variable(used: Any, name: str = _LOCAL) -> str:
    """Return the name of a variable that occurs nowhere in what users wrote, so that it hides none of theirs."""
    while _occurs(name, used):
        name += "0"
    return name


def _occurs(name: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(name in key or _occurs(name, item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return any(_occurs(name, item) for item in value)
    return isinstance(value, str) and name in value


def local_values(path: str) -> dict[str, Any]:
    """
    Return the expression for what a `localField` stands for: a value, an array's elements, or null where there is none.
    """
    found = {"dsFound": _values("$$ROOT", path.split("."), 0)}
    return _let(found, {"$cond": [{"$eq": ["$$dsFound", []]}, [None], "$$dsFound"]})


def joins(path: str, local: str) -> dict[str, Any]:
    """
    Return the condition that the document at hand has one of the values in the variable *local* at a `foreignField`.
    """
    return {
        "$anyElementTrue": {
            "$map": {"input": f"$${local}", "as": _EACH[2:], "in": _has_value("$$ROOT", path.split("."), 0)}
        }
    }


def _values(document: Any, segments: Sequence[str], level: int) -> dict[str, Any]:
    found, value = _bound(document, segments[0], level)
    if len(segments) == 1:
        single = {"$cond": [{"$eq": [{"$type": value}, "missing"]}, [], [value]]}
        return _let(found, {"$cond": [{"$isArray": [value]}, value, single]})
    item = f"dsItem{level}"
    of_item = {
        "$cond": [_is_object(f"$${item}"), _values(f"$${item}", segments[1:], level + 1), []],
    }
    of_items = {
        "$reduce": {
            "input": {"$map": {"input": value, "as": item, "in": of_item}},
            "initialValue": [],
            "in": {"$concatArrays": ["$$value", "$$this"]},
        }
    }
    return _let(found, _by_type(value, _values(value, segments[1:], level + 1), of_items, []))


def _has_value(document: Any, segments: Sequence[str], level: int) -> dict[str, Any]:
    found, value = _bound(document, segments[0], level)
    if len(segments) == 1:
        whole = {"$eq": [{"$ifNull": [value, None]}, _EACH]}
        within = {"$cond": [{"$isArray": [value]}, {"$in": [_EACH, value]}, False]}
        return _let(found, {"$or": [whole, within]})
    item = f"dsItem{level}"
    of_item = {"$cond": [_is_object(f"$${item}"), _has_value(f"$${item}", segments[1:], level + 1), False]}
    of_items = {"$anyElementTrue": {"$map": {"input": value, "as": item, "in": of_item}}}
    of_nothing = {"$eq": [_EACH, None]}
    return _let(found, _by_type(value, _has_value(value, segments[1:], level + 1), of_items, of_nothing))


def _bound(document: Any, name: str, level: int) -> tuple[dict[str, Any], str]:
    """Return the variable that holds a field, and how it is called."""
    variable = f"dsField{level}"
    return {variable: {"$getField": {"field": {"$literal": name}, "input": document}}}, f"$${variable}"


def _let(variables: dict[str, Any], expression: Any) -> dict[str, Any]:
    return {"$let": {"vars": variables, "in": expression}}


def _is_object(value: str) -> dict[str, Any]:
    return {"$eq": [{"$type": value}, "object"]}


def _by_type(value: str, of_object: Any, of_array: Any, otherwise: Any) -> dict[str, Any]:
    return {"$cond": [_is_object(value), of_object, {"$cond": [{"$isArray": [value]}, of_array, otherwise]}]}
