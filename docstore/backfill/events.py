"""
Every event that the backfill logs, with its facts: one function for each, and nothing else logs.

Facts are names, ids, versions, types, places and numbers; no event carries the value of a document's field. What goes
well is `info`, what somebody should look at is `warning`.
"""

from typing import Any, Final

import structlog

_log: Final = structlog.get_logger("docstore.backfill")


def backfill_started(*, kind: str, target: int, direction: str, rows: int) -> None:
    """
    A run begins, with so many rows that are not at the target.
    """
    _log.info("backfill_started", kind=kind, target=target, direction=direction, rows=rows)


def rollout_ended(*, kind: str, state: str, version: int) -> None:
    """
    An exact count has ended a rollout, or a rollback: every row is where it belongs.
    """
    _log.info("rollout_ended", kind=kind, state=state, version=version)


def rollout_left(*, kind: str, reason: str) -> None:
    """
    A record of the kind is that of another release of docstore, whose processes have to bring the rollout up to it.
    """
    _log.warning("rollout_left", kind=kind, reason=reason)


def loss_accepted(*, kind: str, version: int, trimmed: int, left: int) -> None:
    """
    An operator ended a rollback at the cost of what the lower version cannot hold, or with rows left above it.
    """
    _log.warning("loss_accepted", kind=kind, version=version, trimmed=trimmed, left=left)


def way_back_refused(*, kind: str, reason: str) -> None:
    """
    Rows stand above the write version after a rollback, and the run that would bring them back cannot begin.
    """
    _log.warning("way_back_refused", kind=kind, reason=reason)


def fence_left_high(*, kind: str, reason: str) -> None:
    """
    A rollback has ended, and the fence still lets in the version that was rolled back.
    """
    _log.warning("fence_left_high", kind=kind, reason=reason)


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


def lease_lost(*, run: str, batch: int) -> None:
    """
    A batch took longer than its lease, which could not be renewed; another worker has it, or will.
    """
    _log.warning("lease_lost", run=run, batch=batch)


def batch_failed(*, run: str, batch: int, error: str, reaction: str, tries: int) -> None:
    """
    A batch could not be finished: it is tried again, split or given up, or the run fails.
    """
    _log.warning("batch_failed", run=run, batch=batch, error=error, reaction=reaction, tries=tries)


def batch_suspected(*, run: str, batch: int, rows: int, lost: int, deaths: int) -> None:
    """
    Workers that held a batch have died: it is halved, or its one row is put aside.
    """
    _log.warning("batch_suspected", run=run, batch=batch, rows=rows, lost=lost, deaths=deaths)


def run_not_joined(*, kind: str, run: str, reason: str) -> None:
    """
    A worker takes no part in a run that it could see.
    """
    _log.warning("run_not_joined", kind=kind, run=run, reason=reason)


def run_of_others(*, kind: str, run: str, reason: str) -> None:
    """
    A worker leaves a run alone, because it was not given the kind.
    """
    _log.info("run_of_others", kind=kind, run=run, reason=reason)


def worker_waits(*, reason: str) -> None:
    """
    The database cannot be reached; the worker looks again a little later.
    """
    _log.warning("worker_waits", reason=reason)


def survey_failed(*, reason: str) -> None:
    """
    The database could not be looked at for those who watch it; their numbers stay as they were.
    """
    _log.warning("survey_failed", reason=reason)


def rows_verified(*, kind: str, version: int | None, rows: int, misfits: int) -> None:
    """
    The server and Python make the same of so many rows; *misfits* of them do not fit the model.
    """
    _log.debug("rows_verified", kind=kind, version=version, rows=rows, misfits=misfits)


def verification_refused(*, kind: str, reason: str, code: int | None) -> None:
    """
    The server failed at a row while rows were compared, so that their range goes through Python.
    """
    _log.info("verification_refused", kind=kind, reason=reason, code=code)


def run_left(*, kind: str, run: str, reason: str) -> None:
    """
    A worker could not go on with a run; it looks again a little later.
    """
    _log.warning("run_left", kind=kind, run=run, reason=reason)


def rows_adopted(*, kind: str, tagged: int, quarantined: int, remaining: int) -> None:
    """
    Rows without a tag have been tagged.
    """
    _log.info("rows_adopted", kind=kind, tagged=tagged, quarantined=quarantined, remaining=remaining)
