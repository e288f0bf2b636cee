"""What an update has to say so that a stored row becomes another one, and nothing else changes."""

from collections.abc import Mapping, Sequence
from typing import Any

from docstore.core.bson_values import RawDocument, identical
from docstore.core.paths import FieldPath, dotted


def delta(before: Mapping[str, Any], after: Mapping[str, Any]) -> RawDocument | None:
    """
    Return the update operators that turn *before* into *after*: `$set` and `$unset` of the paths that differ.

    A value differs where its BSON does: 1, 1.0 and true are three values. Within documents only the parts that
    differ are named, so that a part nobody touched is not written at all; a document is set as a whole where dotted
    paths cannot say it (names with dots or dollars, numbers as names, another order of fields). Arrays are set as a
    whole. The order of fields at the top level is left to the server.

    Returns:
        The operators, an empty dict where nothing differs, or None where a top-level field has to change whose name
        no update operator can speak of.
    """
    set_values: RawDocument = {}
    unset: RawDocument = {}
    for name in {**before, **after}:
        if name in before and name in after and identical(before[name], after[name]):
            continue
        if not _addressable(name):
            return None
        if name not in after:
            unset[name] = ""
        elif name in before:
            _change(before[name], after[name], (name,), set_values, unset)
        else:
            set_values[name] = after[name]
    operators: RawDocument = {}
    if set_values:
        operators["$set"] = set_values
    if unset:
        operators["$unset"] = unset
    return operators


def _change(before: Any, after: Any, path: FieldPath, set_values: RawDocument, unset: RawDocument) -> None:
    """Add what changes the value at *path*, which differs."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        set_values[dotted(path)] = after
        return
    changed = [
        name
        for name in {**before, **after}
        if not (name in before and name in after and identical(before[name], after[name]))
    ]
    if not changed or not all(map(_addressable_within, changed)) or not _order_follows(list(before), list(after)):
        set_values[dotted(path)] = after
        return
    for name in changed:
        if name not in after:
            unset[dotted((*path, name))] = ""
        elif name in before:
            _change(before[name], after[name], (*path, name), set_values, unset)
        else:
            set_values[dotted((*path, name))] = after[name]


def _addressable(name: str) -> bool:
    return bool(name) and "." not in name and not name.startswith("$")


def _addressable_within(name: str) -> bool:
    # A number may be an array's position to whoever reads the path.
    return _addressable(name) and not name.isdigit()


def _order_follows(before: Sequence[str], after: Sequence[str]) -> bool:
    """
    Tell whether a `$set` of dotted paths leaves the fields in the order of *after*.

    Fields that stay keep their places; new ones go to the end, in the order of their names.

    Source: MongoDB manual, "Update Operators Process Document Fields in Lexicographical Order".
    """
    kept = [name for name in before if name in after]
    added = [name for name in after if name not in before]
    return list(after) == kept + sorted(added, key=str.encode)
