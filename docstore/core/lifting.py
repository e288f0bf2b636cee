"""
A change that code makes which knows no more than its latest, lifted to a row that stands above.
"""

from collections.abc import Mapping
from typing import Any

from bson.errors import BSONError

from docstore.core.bson_values import RawDocument, identical
from docstore.core.kind import Kind
from docstore.core.lens import differing, put
from docstore.core.newer_steps import at_latest, kind_at, standing
from docstore.core.residue import RESIDUE
from docstore.errors import DowngradeFailedError, UpdateRefusedError, UpgradeFailedError


def raised(kind: Kind[Any], row: Mapping[str, Any], version: int) -> RawDocument:
    """
    Return a row at latest as it is at a version above: what a backfill will make of it, and no more.

    Raises:
        UpdateRefusedError: It would not be seen as the same row through this code, or a step does not take it.
        NewerVersionError: No step is known that leads down from there.
    """
    above = kind_at(kind, version)
    try:
        raised_row = above.upgrade(row, to=version)
        seen = above.downgrade(raised_row, to=kind.latest)
    except (UpgradeFailedError, DowngradeFailedError) as error:
        raise _untaken(kind, version, error) from None
    # Fields may be there that were missing: the empty parents of what was moved.
    if not all(name in seen and identical(value, seen[name]) for name, value in row.items() if name != RESIDUE):
        reason = f"rows are stored at version {version}, where this one would not be read as it was written"
        raise UpdateRefusedError(kind=kind.name, reason=reason)
    return raised_row


def lifted(kind: Kind[Any], row: Mapping[str, Any], shape: Mapping[str, Any]) -> RawDocument:
    """
    Return a row above latest, at its own version, changed so that it is seen as *shape* at latest.

    Everything that only the newer shape has is kept. Both laws of `core.lens` hold: what was not changed leaves the row
    as it is, and what was changed is seen again; where that cannot be done exactly, nothing is made.

    Args:
        kind: Whose row it is.
        row: As it is stored.
        shape: What it is to be at latest: all fields of it. The tag may be left out.

    Raises:
        UpdateRefusedError: The row cannot take the change; says which step or which fields stand in the way.
        NewerVersionError: No step is known that leads down from where the row stands.
    """
    version = standing(kind, row)
    try:
        if not differing(at_latest(kind, row), {kind.version_field: kind.latest, **shape}):
            # Also a row that takes no change at all, because the older shape has no place for what it holds.
            return dict(row)
        changed = put(kind_at(kind, version), row, shape, kind.latest)
    except (UpgradeFailedError, DowngradeFailedError) as error:
        raise _untaken(kind, version, error) from None
    except (BSONError, OverflowError) as error:
        reason = f"a step made something of it that cannot be stored: {type(error).__name__}"
        raise UpdateRefusedError(kind=kind.name, reason=reason) from None
    if row.get(kind.version_field) is not None:
        # A tag of another number type says the same; to write it anew is for code that knows the version.
        changed[kind.version_field] = row[kind.version_field]
    return changed


def _untaken(kind: Kind[Any], version: int, error: UpgradeFailedError) -> UpdateRefusedError:
    # The cause may name values of the row.
    where = "" if error.path is None else f" at {error.path!r}"
    reason = (
        f"it is stored at version {version}, which this code reaches through published steps, and step {error.step} "
        f"does not take the change{where}"
    )
    return UpdateRefusedError(kind=kind.name, reason=reason)
