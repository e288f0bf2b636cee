"""
Rows with a residue in a query of the latest shape: what the server has to ask them, and how it restores them.

The server restores what was kept by the last step alone, and only where nobody changed the older shape since; all other
rows with a residue it declines, and Python brings them up.
"""

from collections.abc import Sequence
from typing import Any, Final

from docstore.core.expressions import Expression, Ref, both, is_type
from docstore.core.kind import Kind
from docstore.core.operation import Program
from docstore.core.paths import FieldPath, overlap_any
from docstore.core.residue import FIELDS, IS, RESIDUE, WAS

#: Finds the rows with a residue, and those without.
HAS_RESIDUE: Final = {RESIDUE: {"$exists": True}}
NO_RESIDUE: Final = {RESIDUE: {"$exists": False}}


def kept_fields(kind: Kind[Any], paths: frozenset[FieldPath]) -> list[str]:
    """
    Return the top-level fields on which the values at *paths* depend and of which the last step may have kept some.
    """
    writes = (kind.steps[-1].writes or frozenset()) if kind.steps else frozenset()
    return sorted({path[0] for path in writes if overlap_any(path[:1], [each[:1] for each in paths])})


def untouched_since(kind: Kind[Any], fields: Sequence[str], *, required: bool) -> Program:
    """
    Build a program that does nothing, and asks whether `restoring` gives what Python gives.

    It is asked of the row after all steps. Only the last step may have kept anything, and each of the fields has to be
    what it was then.

    Args:
        kind: Whose rows these are.
        fields: Those that matter.
        required: Whether every row has a residue; otherwise those without one are fine.
    """
    residue = f"$$ROOT.{RESIDUE}"
    entry = f"{residue}.{kind.latest}.{FIELDS}"
    steps = {"$map": {"input": {"$objectToArray": residue}, "in": "$$this.k"}}
    asked: list[Expression] = [
        is_type(residue, "object"),
        {"$eq": [steps, [{"$literal": str(kind.latest)}]]},
        is_type(entry, "object"),
    ]
    asked += [
        {"$or": [is_type(f"{entry}.{name}", "missing"), {"$eq": [Ref((name,)), f"{entry}.{name}.{WAS}"]}]}
        for name in fields
    ]
    whole = both(asked)
    return Program(requires=(whole if required else {"$or": [is_type(residue, "missing"), whole]},), actions=())


def restoring(kind: Kind[Any], fields: Sequence[str], *, when: Expression = None) -> list[dict[str, Any]]:
    """
    Return the stage that brings back what the last step kept of these fields; only where *when* holds, if it is given.
    """
    entry = f"${RESIDUE}.{kind.latest}.{FIELDS}"
    restored = {
        name: {
            "$cond": [
                both([{"$ne": [{"$type": f"{entry}.{name}"}, "missing"]}, *([] if when is None else [when])]),
                f"{entry}.{name}.{IS}",
                f"${name}",
            ]
        }
        for name in fields
    }
    return [{"$set": restored}] if restored else []
