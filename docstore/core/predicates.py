"""
Whether a condition of a filter matches a value that is known: a constant that an operation puts into rows, or nothing.

The server answers for stored values; this answers for those that are in no row. It says None wherever it does not know
exactly what the server would say, and whoever asks then does without the answer.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.regex import Regex

from docstore.core.bson_values import comparison_key, type_name
from docstore.core.paths import MISSING

#: True, false, or unknown.
Answer: TypeAlias = bool | None

_NUMBER_TYPES: Final = frozenset({"int", "long", "double", "decimal"})
_TYPE_CODES: Final = dict(
    (
        *enumerate(("double", "string", "object", "array", "binData"), start=1),
        *enumerate(("objectId", "bool", "date", "null", "regex"), start=7),
        (13, "javascript"),
        *enumerate(("int", "timestamp", "long", "decimal"), start=16),
        *((-1, "minKey"), (127, "maxKey")),
    )
)
_RANGES: Final = frozenset({"$gt", "$gte", "$lt", "$lte"})
#: They match no missing field; what they say of a value is left to the server.
_SERVER_ONLY: Final = frozenset(
    {"$mod", "$bitsAllSet", "$bitsAnySet", "$bitsAllClear", "$bitsAnyClear", "$geoWithin", "$geoIntersects"}
)


def is_operators(condition: Any) -> bool:
    """Tell whether a field's condition consists of operators, and is no value to be equal to."""
    return isinstance(condition, Mapping) and str(next(iter(condition), "")).startswith("$")


def is_regex(value: Any) -> bool:
    """Tell whether a value is a regular expression, which a condition takes for a pattern."""
    return isinstance(value, Regex | re.Pattern)


def holds(condition: Any, value: Any) -> Answer:
    """
    Tell whether a field's condition matches a value, by simple collation; None where that is not known.

    Args:
        condition: What a filter holds for the field.
        value: The field's value; `MISSING` for none.
    """
    if not is_operators(condition):
        return _pattern(value) if is_regex(condition) else _equals(condition, value)
    if any(name in condition for name in ("$regex", "$options")):
        others = {name: operand for name, operand in condition.items() if name not in {"$regex", "$options"}}
        return both([_pattern(value), holds(others, value) if others else True])
    return both(_OPERATORS.get(name, _unknown)(operand, value, name) for name, operand in condition.items())


def both(answers: Iterable[Answer]) -> Answer:
    """Return whether all of them are true, as far as that is known."""
    known: Answer = True
    for answer in answers:
        if answer is False:
            return False
        known = None if answer is None else known
    return known


def either(answers: Iterable[Answer]) -> Answer:
    """Return whether one of them is true, as far as that is known."""
    return opposite(both(opposite(answer) for answer in answers))


def opposite(answer: Answer) -> Answer:
    """Return the contrary of what is known."""
    return None if answer is None else not answer


def _candidates(value: Any) -> list[Any]:
    return [value, *value] if isinstance(value, list) else [value]


def _equals(operand: Any, value: Any) -> Answer:
    if value is MISSING:
        return operand is None
    if is_regex(operand):
        return None
    wanted = comparison_key(operand)
    return any(comparison_key(candidate) == wanted for candidate in _candidates(value))


def _one_of(operand: Any, value: Any) -> Answer:
    if not isinstance(operand, list | tuple):
        return None
    return either(_pattern(value) if is_regex(each) else _equals(each, value) for each in operand)


def _pattern(value: Any) -> Answer:
    # Texts are matched by the server's own engine, and so are regular expressions that are stored.
    matchable = any(isinstance(each, str) or is_regex(each) for each in _candidates(value))
    return None if matchable else False


def _range(operand: Any, value: Any, name: str) -> Answer:
    if operand is None:
        return _equals(None, value) if name in {"$gte", "$lte"} else False
    if not isinstance(operand, bool | int | float | str) or (isinstance(operand, float) and math.isnan(operand)):
        return None
    if value is MISSING:
        return False
    return either(_compared(operand, candidate, name) for candidate in _candidates(value))


def _compared(operand: Any, value: Any, name: str) -> Answer:
    if isinstance(value, MinKey | MaxKey):
        return None
    if _bracket(operand) != _bracket(value):
        return False
    if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and math.isnan(value)):
        return None
    left: Any = value.encode() if isinstance(value, str) else value
    right: Any = operand.encode() if isinstance(operand, str) else operand
    return bool({"$gt": left > right, "$gte": left >= right, "$lt": left < right, "$lte": left <= right}[name])


def _bracket(value: Any) -> str:
    name = type_name(value)
    return "number" if name in _NUMBER_TYPES else name


def _exists(operand: Any, value: Any, _: str) -> Answer:
    if not isinstance(operand, bool | int | float):
        return None
    return (value is not MISSING) is bool(operand)


def type_names(operand: Any) -> frozenset[str] | None:
    """Return the names of the types for which a `$type` asks; None where one of them is unknown."""
    names: set[str] = set()
    for each in operand if isinstance(operand, list | tuple) else [operand]:
        name = each if isinstance(each, str) else _TYPE_CODES.get(each) if type(each) in {int, Int64} else None
        if name == "number":
            names |= _NUMBER_TYPES
        elif name in _TYPE_CODES.values():
            names.add(str(name))
        else:
            return None
    return frozenset(names)


def _type(operand: Any, value: Any, _: str) -> Answer:
    if value is MISSING:
        return False
    names = type_names(operand)
    return None if names is None else any(type_name(candidate) in names for candidate in _candidates(value))


def _size(operand: Any, value: Any, _: str) -> Answer:
    if not isinstance(value, list):
        return False
    return len(value) == operand if type(operand) in {int, Int64} else None


def _all(operand: Any, value: Any, _: str) -> Answer:
    if not isinstance(operand, list | tuple):
        return None
    if not operand:
        return False
    return both(holds(each, value) if is_operators(each) else _one_of([each], value) for each in operand)


def _elem_match(operand: Any, value: Any, _: str) -> Answer:
    if not isinstance(value, list) or not value:
        return False
    if not is_operators(operand) or any(isinstance(element, list) for element in value):
        return None
    return either(holds(operand, element) for element in value)


def _not(operand: Any, value: Any, _: str) -> Answer:
    return opposite(holds(operand, value)) if is_operators(operand) or is_regex(operand) else None


def _server_only(_: Any, value: Any, __: str) -> Answer:
    return False if value is MISSING else None


def _unknown(_: Any, __: Any, ___: str) -> Answer:
    return None


_OPERATORS: Final[Mapping[str, Callable[[Any, Any, str], Answer]]] = {
    "$eq": lambda operand, value, _: _equals(operand, value),
    "$ne": lambda operand, value, _: opposite(_equals(operand, value)),
    "$in": lambda operand, value, _: _one_of(operand, value),
    "$nin": lambda operand, value, _: opposite(_one_of(operand, value)),
    **dict.fromkeys(_RANGES, _range),
    "$exists": _exists,
    "$type": _type,
    "$size": _size,
    "$all": _all,
    "$elemMatch": _elem_match,
    "$not": _not,
    **dict.fromkeys(_SERVER_ONLY, _server_only),
}
