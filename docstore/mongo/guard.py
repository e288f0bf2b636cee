"""
The guard: a write that takes effect only if the stored row is still the one that it was computed from (P1).

Pure builders. The comparison is of the whole stored document, so it holds against writers that have never heard of
docstore. The server compares values, not bytes: a concurrent change that only turns 1 into 1.0 goes unnoticed, which
is why a write names no field that it does not change.
"""

from collections.abc import Mapping
from typing import Any, Final

from bson.raw_bson import RawBSONDocument

from docstore.core.bson_values import RawDocument, decode
from docstore.core.delta import delta
from docstore.core.residue import RESIDUE

#: Compares strings byte by byte, whatever the collection's own collation says.
SIMPLE_COLLATION: Final[dict[str, Any]] = {"locale": "simple"}


def guarded_update(
    raw: bytes, after: Mapping[str, Any], *, before: RawDocument | None = None, collation: bool = False
) -> dict[str, Any] | None:
    """
    Return one statement of an `update` command that turns the row *raw* into *after*, or None if nothing differs.

    It matches nothing once the row was changed or deleted by anybody, and never inserts.

    Args:
        raw: The row as it is stored.
        after: The row as it is to be, with the same `_id`.
        before: *raw* decoded, where the caller has it already.
        collation: Compare byte by byte; needed where the collection has a collation of its own.
    """
    before = decode(raw) if before is None else before
    update = row_update(before, after)
    if update is None:
        return None
    statement: dict[str, Any] = {"q": guard(raw, before["_id"]), "u": update}
    if collation:
        statement["collation"] = SIMPLE_COLLATION
    return statement


def guard(raw: bytes, id: Any) -> dict[str, Any]:
    """Return the filter that matches the row with this id as long as it is exactly *raw*."""
    # Encoded as it is, so it needs no codec options.
    stored = RawBSONDocument(raw)
    return {"_id": {"$eq": id}, "$expr": {"$eq": ["$$ROOT", {"$literal": stored}]}}


def row_update(before: RawDocument, after: Mapping[str, Any]) -> dict[str, Any] | list[dict[str, Any]] | None:
    """
    Return the update that turns one row into another, or None if nothing differs.

    Only what differs is written. Where a top-level field has to change whose name no operator can speak of, the whole
    document is replaced, in a pipeline, which takes any name.
    """
    operators = delta(before, after)
    if operators is None:
        return [{"$replaceWith": {"$literal": dict(after)}}]
    return operators or None


def overwriting(row: RawDocument, latest: int) -> list[dict[str, Any]]:
    """
    Return the update that puts *row* in the place of what is stored, but for what is kept of versions above *latest*.

    A pipeline, because a plain replacement refuses field names that begin with a dollar.
    """
    number = {"$convert": {"input": "$$this.k", "to": "int", "onError": 0}}
    above = {"$filter": {"input": {"$objectToArray": f"${RESIDUE}"}, "cond": {"$gt": [number, latest]}}}
    kept = {"$let": {"vars": {"kept": above}, "in": {"$cond": [{"$eq": ["$$kept", []]}, {}, _HELD]}}}
    has_some = {"$eq": [{"$type": f"${RESIDUE}"}, "object"]}
    return [{"$replaceWith": {"$mergeObjects": [{"$literal": row}, {"$cond": [has_some, kept, {}]}]}}]


_HELD: Final = {RESIDUE: {"$arrayToObject": "$$kept"}}
