"""
Lists made of lists and single values, in Python and on the server.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

from docstore.core.bson_values import comparison_key
from docstore.core.expressions import Expression, Literal, Ref, is_type
from docstore.core.paths import FieldPath
from docstore.operations.place import LISTS

#: Lists of nothing but texts are common, and texts are equal if Python says so.
_TEXTS: Final = frozenset({str})


def joined(values: Iterable[Any]) -> list[Any]:
    """
    Return the elements of all lists and the single values, in order; null counts as an empty list.
    """
    elements: list[Any] = []
    for value in values:
        if isinstance(value, LISTS):
            elements.extend(value)
        elif value is not None:
            elements.append(value)
    return elements


def joined_on_server(paths: Sequence[FieldPath]) -> Expression:
    """
    Build what `joined` gives for the values at the paths; a missing one counts as an empty list, too.
    """
    return {"$concatArrays": [_as_list(Ref(path)) for path in paths]}


def first_of_equals(elements: Sequence[Any]) -> list[Any]:
    """
    Return the elements without those that equal an earlier one, as the server compares them.
    """
    if set(map(type, elements)) <= _TEXTS:
        return list(dict.fromkeys(elements))
    kept: dict[Hashable, Any] = {}
    for element in elements:
        kept.setdefault(comparison_key(element), element)
    return list(kept.values())


def first_of_equals_on_server(elements: Expression) -> Expression:
    """
    Build what `first_of_equals` gives. `$setUnion` would be quicker, and forget the order.
    """
    seen = {"$in": ["$$this", "$$value"]}
    grown = {"$concatArrays": ["$$value", ["$$this"]]}
    return {"$reduce": {"input": elements, "initialValue": Literal([]), "in": {"$cond": [seen, "$$value", grown]}}}


def _as_list(value: Expression) -> Expression:
    single = {"$cond": [is_type(value, "missing", "null"), Literal([]), [value]]}
    return {"$cond": [{"$isArray": [value]}, value, single]}
