"""
Rows in quarantine: listed, shown, tried again.
"""

import datetime
from collections.abc import Callable, Sequence
from typing import Any

from docstore.backfill.quarantined import QuarantinedRow, quarantined_row, quarantined_rows, recorded_rows
from docstore.backfill.retrying import Retry, RetryResult
from docstore.commands.as_node import as_node
from docstore.commands.process import utc_now
from docstore.core.kind import Kind
from docstore.mongo.driver import AnyDatabase


async def quarantine_list(
    database: AnyDatabase, kind: Kind[Any], *, limit: int | None = None
) -> Sequence[QuarantinedRow]:
    """
    Return a kind's rows in quarantine, in the order of their ids.

    Reads only. Rows that are gone, were brought further meanwhile, or were changed and would come through now, are left
    out.

    Args:
        database: A Motor or PyMongo Async database (or the mock).
        kind: Whose rows.
        limit: How many at most; all of them by default.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await quarantined_rows(database, kind, limit=limit)


async def quarantine_count(database: AnyDatabase, kind: Kind[Any]) -> int:
    """
    Return how many of a kind's rows are in quarantine, as coverage counts them; reads only, and no row but its tag.

    Rows that were changed and would come through now are among them, which `quarantine_list` leaves out: they stand
    where they failed until a backfill, or a retry, brings them further.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await recorded_rows(database, kind)


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

    Rows go through Python and are written under the guard, as in a backfill: nothing of any other writer is lost. None
    goes above the write version; those that stand there already are left as they are. The
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
        BackfillRefusedError: A row that was named can go no further before the write version is raised; nothing was
            tried.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    async with as_node(database, kind, service="docstore quarantine") as member:
        return await Retry(database, kind, record_error_text=record_error_text, now=now, member=member).retry(ids)
