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


def signal_unknown(*, signal: str, reason: str) -> None:
    """
    A signal of the database's load cannot be had; if that lasts, the backfill holds back a little.
    """
    _log.warning("signal_unknown", signal=signal, reason=reason)


def throttled(*, reason: str, stopped: bool, nice: float) -> None:
    """
    The backfill holds back: it begins no batch (*stopped*), or pauses *nice* times as long as each batch takes.
    """
    _log.info("throttled", reason=reason, stopped=stopped, nice=nice)


def throttled_for_long(*, reason: str, seconds: float) -> None:
    """
    No batch has been allowed to begin for so long that somebody should look.
    """
    _log.warning("throttled_for_long", reason=reason, seconds=round(seconds, 1))


def throttle_released(*, seconds: float) -> None:
    """
    The backfill is back at full speed, after so many seconds.
    """
    _log.info("throttle_released", seconds=round(seconds, 1))
