"""
Every event that the backfill logs, with its facts: one function for each, and nothing else logs.

Facts are names, ids, versions, types, places and numbers; no event carries the value of a document's field. What goes
well is `info`, what somebody should look at is `warning`.
"""

from typing import Any, Final

import structlog

_log: Final = structlog.get_logger("docstore.backfill")


def backfill_started(*, kind: str, target: int, rows: int) -> None:
    """
    A run begins, with so many rows that are not at the target.
    """
    _log.info("backfill_started", kind=kind, target=target, rows=rows)


def building_index(*, kind: str, collection: str) -> None:
    """
    The (tag, `_id`) index is missing and is built.
    """
    _log.info("building_index", kind=kind, collection=collection)


def backfill_ended(**result: Any) -> None:
    """
    A run ended; the facts are those of its result.
    """
    _log.info("backfill_ended", **result)


def range_refused(*, reason: str, code: int | None) -> None:
    """
    The server failed at a row of a range, which the client path takes over.
    """
    _log.info("range_refused", reason=reason, code=code)


def rows_put_aside(*, kind: str, rows: int, error: str, first_id: Any) -> None:
    """
    Rows cannot be upgraded and have a record in quarantine; the class of the first one's error, and its id.
    """
    _log.info("rows_put_aside", kind=kind, rows=rows, error=error, first_id=first_id)


def quarantine_retried(*, kind: str, tried: int, succeeded: int, failed: int, contested: int) -> None:
    """
    Rows in quarantine were tried again.
    """
    _log.info("quarantine_retried", kind=kind, tried=tried, succeeded=succeeded, failed=failed, contested=contested)
