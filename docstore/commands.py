"""One async function per verb of the command line, for Python: each returns a pydantic result."""

import asyncio
import datetime
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.backfill.progress import BackfillResult, OnProgress
from docstore.backfill.quarantined import QuarantinedRow, quarantined_row, quarantined_rows
from docstore.backfill.retrying import Retry, RetryResult
from docstore.backfill.run import Run
from docstore.core.coverage import Coverage, coverage_of, rows_below
from docstore.core.kind import Kind
from docstore.errors import VersionRangeError
from docstore.mongo.counting import count_rows
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.tag_index import build_tag_index, find_tag_index


def utc_now() -> datetime.datetime:
    """Return the time of this machine's clock."""
    return datetime.datetime.now(datetime.UTC)


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
            kind, counts.tags, quarantined=counts.quarantined, counted_at=counted_at, exact=counts.one_moment
        )
        below = None if require is None else rows_below(kind, report, require)
        results.append(CoverageResult(report=report, index=index, below_required=below))
    return results


async def backfill(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    to: int | None = None,
    record_error_text: bool = False,
    on_progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
    now: Callable[[], datetime.datetime] = utc_now,
) -> BackfillResult:
    """
    Bring every row of a kind that stands below a version up to it, while others read and write.

    Each rewrite is atomic, and takes effect only if the row is still what it was computed from: no change of any other
    writer is lost, and no step is applied twice. Rows that cannot be upgraded stay as they are and are recorded in
    `docstore_quarantine`. May be stopped, cancelled or killed at any time, and be run again, also by several processes
    at once. Builds the (tag, `_id`) index if it is missing.

    Args:
        database: A Motor or PyMongo Async database. On the mock rows go through Python one by one, unguarded against
            writers in other processes, which the mock does not have.
        kind: Whose rows.
        to: The version to bring them to; latest by default. Rows above it are left alone.
        record_error_text: Keep what the user's functions or the model said about a row in its quarantine record. That
            can hold values of the row.
        on_progress: Told after every batch; should return at once.
        stop: Once it is set, batches in flight are finished and the run ends.
        now: The clock.

    Raises:
        VersionRangeError: *to* is no version of the kind.
        BackfillRefusedError: Every row stands above *to*.
        StoreUnavailableError: The database stayed away for a minute. Run it again.
        StoreRejectedError: The database refused what the run needs, missing privileges for example.
    """
    run = Run(
        database,
        kind,
        target=kind.latest if to is None else to,
        record_error_text=record_error_text,
        on_progress=on_progress,
        stop=stop or asyncio.Event(),
        now=now,
    )
    return await run.run()


async def quarantine_list(
    database: AnyDatabase, kind: Kind[Any], *, limit: int | None = None
) -> Sequence[QuarantinedRow]:
    """
    Return a kind's rows in quarantine, in the order of their ids.

    Reads only. Rows that are gone, or were mended and brought further meanwhile, are left out.

    Args:
        database: A Motor or PyMongo Async database (or the mock).
        kind: Whose rows.
        limit: How many at most; all of them by default.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await quarantined_rows(database, kind, limit=limit)


async def quarantine_show(
    database: AnyDatabase, kind: Kind[Any], row_id: Any, *, document: bool = False
) -> QuarantinedRow:
    """
    Return what quarantine says about one row, and the row itself if *document* is set. Reads only.

    Raises:
        NotQuarantinedError: It is not (any more) in quarantine.
        InvalidDocumentError: The row is no valid BSON, so that it cannot be shown.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await quarantined_row(database, kind, row_id, with_document=document)


async def quarantine_retry(
    database: AnyDatabase,
    kind: Kind[Any],
    ids: Sequence[Any] | None = None,
    *,
    record_error_text: bool = False,
    now: Callable[[], datetime.datetime] = utc_now,
) -> RetryResult:
    """
    Try rows in quarantine again, after the upgrader or the row was mended.

    Rows go through Python and are written under the guard, as in a backfill: nothing of any other writer is lost. The
    records of those that succeed, are gone, or were mended meanwhile are removed; the others count the try. May be
    stopped and repeated at any time.

    Args:
        database: A Motor or PyMongo Async database (or the mock).
        kind: Whose rows.
        ids: Which rows; all of them by default.
        record_error_text: Keep what the user's functions or the model said. That can hold values of the row.
        now: The clock.

    Raises:
        NotQuarantinedError: An id has no record; nothing was tried.
        VersionRangeError: A row was to go to a version that this code does not have; nothing was tried.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await Retry(database, kind, record_error_text=record_error_text, now=now).retry(ids)


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
