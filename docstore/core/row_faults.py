"""What can be wrong with a stored row, as errors that name it and hold nothing of it."""

from typing import Any, Final

import bson
from bson.errors import BSONError
from pydantic import ValidationError

from docstore.core.bson_values import CODEC, RawDocument, decode, encode
from docstore.core.kind import Kind
from docstore.core.newer_steps import at_latest, kind_at, standing
from docstore.errors import InvalidDocumentError, UpgradeFailedError

_LENIENT: Final = CODEC.with_options(unicode_decode_error_handler="replace")


def decoded(raw: bytes, kind: Kind[Any]) -> RawDocument:
    """
    Decode one stored row.

    Raises:
        InvalidDocumentError: The bytes are no valid BSON (text that is no UTF-8, for example).
    """
    try:
        return decode(raw)
    except (BSONError, ValueError) as error:
        raise InvalidDocumentError(
            kind=kind.name, id=id_of(raw), version=0, problems=["the stored bytes are no valid BSON"]
        ) from error


def upgraded(raw: bytes, kind: Kind[Any], *, to: int | None = None) -> RawDocument:
    """
    Return one stored row at a version (latest unless one is named), tagged, as something that can be stored.

    Raises:
        UpgradeFailedError: A step failed, or what a function returned has no place in BSON.
        DocumentError: The row cannot be read; see `Kind.version`.
    """
    row = decoded(raw, kind)
    version = kind.version(row)
    target = kind.latest if to is None else to
    result = kind.upgrade(row, to=target)
    if kind.chain.runs_functions(version, target):
        try:
            encode(result)
        except Exception as error:  # noqa: BLE001 - a function may return anything
            # The cause would show the row's values in every traceback.
            reason = f"its result cannot be stored: {type(error).__name__}"
            raise UpgradeFailedError(
                kind=kind.name, id=row.get("_id"), version=version, step=target, error=reason
            ) from None
    return result


def brought(raw: bytes, kind: Kind[Any]) -> RawDocument:
    """
    Return one stored row at latest, tagged, to be looked at: like `upgraded`, but one above latest is brought down.

    Raises:
        UpgradeFailedError, DowngradeFailedError: A step failed, or what a function returned has no place in BSON.
        DocumentError: The row cannot be read; see `standing`.
    """
    row = decoded(raw, kind)
    return upgraded(raw, kind) if standing(kind, row) <= kind.latest else at_latest(kind, row)


def side_by_side(first: bytes, second: bytes, kind: Kind[Any]) -> tuple[RawDocument, RawDocument]:
    """
    Return two stored rows at one version, to which both can be upgraded: latest, or where a row stands above it.

    Raises:
        DocumentError: One cannot be read, or upgraded.
    """
    highest = max(standing(kind, decoded(raw, kind)) for raw in (first, second))
    whole = kind_at(kind, highest)
    return upgraded(first, whole), upgraded(second, whole)


def refused(error: Exception, *, kind: Kind[Any], row: RawDocument, version: int) -> InvalidDocumentError:
    """Return what a model's refusal of a row comes out as: error types and field paths, no values."""
    if isinstance(error, ValidationError):
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [f"{fault['type']} @ {'.'.join(map(str, fault['loc'])) or '(document)'}" for fault in faults]
    else:
        # A validator that raises something else is a fault of this row too: it must not stop the others.
        problems = [f"{type(error).__name__} @ (document)"]
    return InvalidDocumentError(kind=kind.name, id=row.get("_id"), version=version, problems=problems)


def id_of(raw: bytes) -> Any:
    """Return the `_id` of a stored row that may be no valid BSON, or None where even that cannot be read."""
    try:
        return bson.decode(raw, _LENIENT).get("_id")
    except (BSONError, ValueError):
        return None
