"""
Running the functions of a step, and holding them to what `Step` says of them.
"""

import operator
from collections.abc import Mapping
from typing import Any

from bson.errors import BSONError

from docstore.core.bson_values import RawDocument, copied, identical, type_name
from docstore.core.paths import FieldPath
from docstore.core.residue import RESIDUE
from docstore.core.step import Step, StepFunction
from docstore.core.version import tag_version


class BrokenContractError(Exception):
    """
    A function did not keep to what `Step` says; a signal to the chain, which names the row.
    """

    def __init__(self, error: str, *, path: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.path = path


def called(function: StepFunction, step: Step, row: RawDocument, *, field: str, produces: int) -> RawDocument:
    """
    Run one of a step's functions on a row, and return what it gave back.

    Args:
        function: The function; the row is its to change.
        step: Whose function it is.
        row: The row.
        field: The tag.
        produces: The version to which the function leads.

    Raises:
        BrokenContractError: It raised, or what it gave back is not what `Step` says.
    """
    before = copied(row) if step.declared_writes is not None else row
    row_id, tag = row.get("_id"), row.get(field)
    try:
        result = function(row)
    except Exception as error:
        raise BrokenContractError(f"it raised {type(error).__name__}") from error
    if not isinstance(result, dict):
        raise BrokenContractError(f"it returned {type_name(result)} and no dict")
    if "_id" not in result or not _same(result["_id"], row_id):
        raise BrokenContractError("it changed the _id", path="_id")
    if RESIDUE in result:
        raise BrokenContractError("it set a field that is docstore's own", path=RESIDUE)
    found = result.get(field, tag)
    if type(found) is not int or found not in (tag, produces):
        stated = tag_version(found)
        what = type_name(found) if stated is None else str(stated)
        raise BrokenContractError(f"it set the tag to {what}, but it produces version {produces}", path=field)
    if step.declared_writes is not None:
        _check_writes(step.declared_writes, before, result, field)
    return result


def _check_writes(declared: frozenset[FieldPath], before: RawDocument, after: RawDocument, field: str) -> None:
    for key in {**before, **after}:
        # Nearly all fields are as they were: the declaration is asked about the others only.
        if key in before and key in after and _unchanged(before[key], after[key]):
            continue
        if key == field or (key,) in declared:
            continue
        inner = frozenset(path[1:] for path in declared if path[0] == key)
        changed = _first_change(inner, before, after, key)
        if changed is not None:
            raise BrokenContractError("it changed a path that its step does not declare in writes", path=changed)


def _unchanged(before: Any, after: Any) -> bool:
    """Tell whether a value is still what its copy holds."""
    if before is after:
        return True
    if type(before) is not type(after):
        return _same(before, after)
    if type(before) is list and len(before) == len(after):
        return all(map(operator.is_, before, after)) or all(map(_unchanged, before, after))
    if type(before) is dict and list(before) == list(after):
        return all(map(_unchanged, before.values(), after.values()))
    return _same(before, after)


def _same(before: Any, after: Any) -> bool:
    """Tell whether two values are the same BSON; a value that BSON cannot hold is not what was stored."""
    try:
        return identical(before, after)
    except (BSONError, OverflowError, TypeError, ValueError):
        return False


def _first_change(
    inner: frozenset[FieldPath], before: Mapping[str, Any], after: Mapping[str, Any], key: str
) -> str | None:
    """Return the path below *key* that differs and is not declared (*inner* holds what is, relative to it)."""
    if key not in before or key not in after:
        return None if inner else key
    old, new = before[key], after[key]
    if not inner or not (isinstance(old, dict) and isinstance(new, dict)):
        return None if _unchanged(old, new) else key
    for name in {**old, **new}:
        if (name,) in inner:
            continue
        changed = _first_change(frozenset(path[1:] for path in inner if path[0] == name), old, new, name)
        if changed is not None:
            return f"{key}.{changed}"
    return None
