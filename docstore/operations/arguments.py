"""
Checking what operations are given, when they are given it.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import bson.errors

from docstore.core.bson_values import decode, encode
from docstore.core.operation import Operation
from docstore.core.paths import FieldPath, dotted, overlap, parse_path
from docstore.errors import InvalidOperationError


def parse_paths(operation: str, what: str, paths: Sequence[str]) -> tuple[FieldPath, ...]:
    """
    Parse a list of paths that holds at least one.

    Raises:
        InvalidOperationError: The list is empty, or no list.
        InvalidFieldPathError: One of the paths is impossible.
    """
    if not _strings(operation, what, paths):
        raise InvalidOperationError(operation=operation, reason=f"was given no paths as {what}")
    return tuple(map(parse_path, paths))


def _strings(operation: str, what: str, values: Sequence[str]) -> Sequence[str]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidOperationError(operation=operation, reason=f"needs a list of paths as {what}")
    return values


def parse_names(operation: str, fields: Sequence[str] | Mapping[str, str], *, swap: bool = False) -> dict[str, str]:
    """
    Return paths of fields and their names in a sub-document (the other way round with *swap*) as a dict.

    Raises:
        InvalidOperationError: There are none, a path or a name stands twice, or a name has several parts.
        InvalidFieldPathError: A name is impossible.
    """
    pairs = (
        dict(fields)
        if isinstance(fields, Mapping)
        else {path: path.rpartition(".")[2] for path in _strings(operation, "fields", fields)}
    )
    if not pairs:
        raise InvalidOperationError(operation=operation, reason="was given no fields")
    if not isinstance(fields, Mapping) and len(pairs) < len(fields):
        raise InvalidOperationError(operation=operation, reason="was given the same field twice")
    if len(set(pairs.values())) < len(pairs):
        raise InvalidOperationError(operation=operation, reason="would put two fields in the same place")
    for name in pairs if swap else pairs.values():
        if len(parse_path(name)) > 1:
            raise InvalidOperationError(operation=operation, reason=f"needs a plain name, not {name!r}")
    return pairs


def require_apart(operation: str, *paths: FieldPath) -> None:
    """
    Check that none of the paths is, or lies within, another.

    Raises:
        InvalidOperationError: Two paths overlap; names both.
    """
    for first, second in combinations(paths, 2):
        if overlap(first, second):
            raise InvalidOperationError(
                operation=operation, reason=f"cannot use both {dotted(first)!r} and {dotted(second)!r}: they overlap"
            )


def require_several(operation: str, what: str, paths: Sequence[FieldPath]) -> None:
    """
    Check that there are at least two paths.

    Raises:
        InvalidOperationError: There are fewer.
    """
    if len(paths) < 2:  # noqa: PLR2004 - "several"
        raise InvalidOperationError(operation=operation, reason=f"needs at least two paths as {what}")


def require_text(operation: str, what: str, value: object) -> None:
    """
    Check that an argument is a text that is not empty.

    Raises:
        InvalidOperationError: It is not.
    """
    if not isinstance(value, str) or not value:
        raise InvalidOperationError(operation=operation, reason=f"needs a text as {what}")


def require_choice(operation: str, name: str, value: object, choices: Sequence[str], *, also: str = "") -> None:
    """
    Check that an argument is one of the choices.

    Raises:
        InvalidOperationError: It is not; names the choices, and what *also* says.
    """
    if not (isinstance(value, str) and value in choices):
        allowed = " or ".join([*map(repr, choices), *([also] if also else [])])
        raise InvalidOperationError(operation=operation, reason=f"takes {allowed} as {name}")


def is_operation(value: object) -> bool:
    """
    Tell whether an argument is an operation, and not the class of one.
    """
    return isinstance(value, Operation) and not isinstance(value, type)


def stored_value(operation: str, what: str, value: Any) -> Any:
    """
    Return a value as it comes back from the database: its own copy, with the types that BSON gives it.

    Raises:
        InvalidOperationError: The value cannot be stored.
    """
    try:
        return decode(encode({"": value}))[""]
    except (bson.errors.InvalidDocument, bson.errors.InvalidStringData, OverflowError, TypeError, ValueError) as error:
        raise InvalidOperationError(
            operation=operation, reason=f"cannot use {type(value).__name__} as {what}: it cannot be stored"
        ) from error


def fresh(value: Any) -> Any:
    """
    Return a value that shares no container with the argument.

    An upgrade function later in the chain may change containers in place, so none may stand in two places.
    """
    if type(value) is dict:
        return {key: fresh(item) for key, item in value.items()}
    if type(value) is list:
        return [fresh(item) for item in value]
    return value


def assign(operation: object, **values: Any) -> None:
    """
    Fill in fields of a frozen dataclass while it is made.
    """
    for name, value in values.items():
        object.__setattr__(operation, name, value)
