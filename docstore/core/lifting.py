"""
A change that code makes which knows no more than its latest, lifted to a row that stands above.
"""

from collections.abc import Mapping
from typing import Any

from bson.errors import BSONError

from docstore.core.bson_values import RawDocument
from docstore.core.kind import Kind
from docstore.core.lens import put
from docstore.core.newer_steps import kind_at, standing
from docstore.errors import DowngradeFailedError, UpdateRefusedError, UpgradeFailedError


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
        return put(kind_at(kind, version), row, shape, kind.latest)
    except (UpgradeFailedError, DowngradeFailedError) as error:
        where = "" if error.path is None else f" at {error.path!r}"
        reason = (
            f"the row stands at version {version}, which this code reads through published steps, and step "
            f"{error.step} does not take the change there{where}"
        )
        # The cause may name values of the row.
        raise UpdateRefusedError(kind=kind.name, reason=reason) from None
    except (BSONError, OverflowError) as error:
        reason = f"a step made something of it that cannot be stored: {type(error).__name__}"
        raise UpdateRefusedError(kind=kind.name, reason=reason) from None
