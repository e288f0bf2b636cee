"""
What stands below latest, and nothing else: the part of the coverage that costs as much as is left to do.
"""

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.core.coverage import Coverage, OldestRow, VersionCount, untagged_version
from docstore.core.kind import Kind


class RemainingRows(BaseModel):
    """
    The rows of a kind below latest, and those of which nobody can say that they are not.
    """

    model_config = ConfigDict(frozen=True)

    #: The kind's name.
    kind: str
    #: Where its rows are.
    collection: str
    #: The highest version that the code knows.
    latest: int
    #: The lowest version that the code still reads.
    floor: int
    #: The version that nodes store; null as long as the database holds none.
    write_version: int | None
    #: All of them.
    remaining: int
    #: Tagged rows below latest by version, in order.
    versions: tuple[VersionCount, ...]
    #: Rows whose tag is missing or null, unless that means latest.
    untagged: int
    #: Rows whose tag is no positive integer.
    unreadable: int
    #: Rows that were put aside by a backfill.
    quarantined: int
    #: Null where no row below latest has an id that tells when it was made, or no index finds it.
    oldest_below: OldestRow | None
    #: When the rows were counted.
    counted_at: datetime.datetime
    #: Whether all counts are of one and the same moment, and cannot be rolled back.
    exact: bool


def remaining_rows(kind: Kind[Any], coverage: Coverage) -> RemainingRows:
    """
    Return what stands below latest, of a coverage that was counted from there down at least.
    """
    versions = tuple(count for count in coverage.versions if count.version < kind.latest)
    untagged = 0 if untagged_version(kind) == kind.latest else coverage.untagged
    return RemainingRows(
        kind=coverage.kind,
        collection=coverage.collection,
        latest=coverage.latest,
        floor=coverage.floor,
        write_version=coverage.write_version,
        remaining=coverage.remaining,
        versions=versions,
        untagged=untagged,
        unreadable=coverage.unreadable,
        quarantined=coverage.quarantined,
        oldest_below=coverage.oldest_below,
        counted_at=coverage.counted_at,
        exact=coverage.exact,
    )
