"""
How many rows stand at which version.
"""

import datetime
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.backfill.ceiling import ceiling_of
from docstore.commands.asked_versions import asked_versions
from docstore.commands.process import utc_now
from docstore.core.coverage import Coverage, coverage_of, rows_below
from docstore.core.kind import Kind
from docstore.errors import VersionRangeError
from docstore.mongo.counting import count_rows
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.tag_index import build_tag_index, find_tag_index


class IndexState(StrEnum):
    """Whether the (tag, `_id`) index is there, which makes coverage and backfill cheap."""

    READY = "ready"
    MISSING = "missing"
    BUILT = "built"


class CoverageResult(BaseModel):
    """The coverage of one kind, and what goes with it."""

    model_config = ConfigDict(frozen=True)

    report: Coverage
    index: IndexState
    #: Rows below the version that was required; None if none was.
    below_required: int | None = None


async def coverage(
    database: AnyDatabase,
    kinds: Iterable[Kind[Any]],
    *,
    require: int | None = None,
    create_index: bool = False,
    on_index_build: Callable[[str], None] | None = None,
    now: Callable[[], datetime.datetime] = utc_now,
) -> list[CoverageResult]:
    """
    Count the rows of each kind by version.

    Reads only, unless *create_index* is set. On a replica set the counts of a kind are of one moment and cannot be
    rolled back. Reads the (tag, `_id`) index alone where it exists, else every row.

    Args:
        database: A Motor or PyMongo Async database (or the mock).
        kinds: Whose rows to count.
        require: Also count the rows below this version.
        create_index: Build the (tag, `_id`) index first, where it is missing.
        on_index_build: Called with a kind's name before its index is built, which can take long.
        now: The clock that the report is dated with.

    Raises:
        VersionRangeError: *require* is no version of a kind.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    results = []
    for kind in kinds:
        if require is not None and not kind.floor <= require <= kind.latest:
            raise VersionRangeError(kind=kind.name, asked=require, floor=kind.floor, latest=kind.latest)
        index = await _index(database, kind, create=create_index, on_build=on_index_build)
        counted_at = now()
        counts = await count_rows(database, kind=kind.name, collection=kind.collection, field=kind.version_field)
        report = coverage_of(
            kind,
            counts.tags,
            quarantined=counts.quarantined,
            counted_at=counted_at,
            exact=counts.one_moment,
            write_version=await ceiling_of(database, kind.name),
            client_versions=await asked_versions(database, kind, counted_at),
        )
        below = None if require is None else rows_below(kind, report, require)
        results.append(CoverageResult(report=report, index=index, below_required=below))
    return results


async def _index(
    database: AnyDatabase, kind: Kind[Any], *, create: bool, on_build: Callable[[str], None] | None
) -> IndexState:
    if await find_tag_index(database, kind.collection, kind.version_field) is not None:
        return IndexState.READY
    if not create:
        return IndexState.MISSING
    if on_build is not None:
        on_build(kind.name)
    await build_tag_index(database, kind.collection, kind.version_field)
    return IndexState.BUILT
