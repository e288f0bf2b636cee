"""One async function per verb of the command line, for Python: each returns a pydantic result."""

import asyncio
import datetime
import os
import socket
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.backfill.adopting import Adoption, AdoptResult
from docstore.backfill.dry_run import DryRun
from docstore.backfill.dry_run_result import DryRunResult
from docstore.backfill.in_this_process import work_until_ended
from docstore.backfill.looking import counted, refuse_target
from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.on_mock import backfill_on_mock
from docstore.backfill.operating import LiveOption, Operating
from docstore.backfill.patience import briefly
from docstore.backfill.progress import BackfillResult, OnProgress
from docstore.backfill.quarantined import QuarantinedRow, quarantined_row, quarantined_rows
from docstore.backfill.retrying import Retry, RetryResult
from docstore.backfill.run_status import RunStatus, run_statuses
from docstore.backfill.run_work import Who
from docstore.backfill.throttling import Throttling
from docstore.backfill.worker import LEASE, Worker
from docstore.core.coverage import Coverage, coverage_of, rows_below
from docstore.core.kind import Kind
from docstore.core.run_record import RunOptions
from docstore.core.run_state import ENDED
from docstore.errors import RunNotFoundError, VersionRangeError
from docstore.mongo.counting import count_rows
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.signals import open_signals
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
    options: RunOptions | None = None,
    record_error_text: bool = False,
    by: str | None = None,
    on_progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
    throttled: bool = True,
    now: Callable[[], datetime.datetime] = utc_now,
) -> BackfillResult:
    """
    Bring every row of a kind that stands below a version up to it, in this process, while others read and write.

    Each rewrite is atomic, and takes effect only if the row is still what it was computed from: no change of any other
    writer is lost, and no step is applied twice. Rows that cannot be upgraded stay as they are and are recorded in
    `docstore_quarantine`. May be stopped, cancelled or killed at any time, and be run again, also by several processes
    at once; workers that are there help. Builds the (tag, `_id`) index if it is missing.

    Returns when the run has ended, was paused by an operator, or has to wait for a process that writes old rows.

    Args:
        database: A Motor or PyMongo Async database. On the mock rows go through Python one by one, unguarded against
            writers in other processes, which the mock does not have.
        kind: Whose rows.
        to: The version to bring them to; latest by default. Rows above it are left alone.
        options: Limits of the run; not on the mock.
        record_error_text: Keep what the user's functions or the model said about a row in its quarantine record. That
            can hold values of the row.
        by: Who asks, for the history; this process by default.
        on_progress: Told after every batch; should return at once.
        stop: Once it is set, batches in flight are finished and the call ends. The run stays open.
        throttled: Hold back when the server shows the load.
        now: The clock.

    Raises:
        VersionRangeError: *to* is no version of the kind.
        BackfillRefusedError: Every row stands above *to*, or another run of the kind is open.
        StoreUnavailableError: The database stayed away for a minute. Run it again.
        StoreRejectedError: The database refused what the run needs, missing privileges for example.
    """
    stop = stop or asyncio.Event()
    target = kind.latest if to is None else to
    asked = options or RunOptions()
    asked = replace(asked, record_error_text=record_error_text or asked.record_error_text)
    if driver_of(database) is Driver.MOCK:
        return await backfill_on_mock(
            database,
            kind,
            target=target,
            with_text=asked.record_error_text,
            on_progress=on_progress,
            stop=stop,
            now=now,
        )
    who = this_process()
    run = await Operating(database, by=by or who.name).start(kind, target, asked, now=now)
    throttling = Throttling(open_signals(database) if throttled else ())
    try:
        return await work_until_ended(
            database, kind, run, who=who, on_progress=on_progress, stop=stop, now=now, throttling=throttling
        )
    finally:
        await throttling.close()


async def backfill_start(
    database: AnyDatabase, kind: Kind[Any], *, to: int | None = None, options: RunOptions | None = None, by: str
) -> RunStatus:
    """
    Ask for a run, which workers then take up; an open run to the same version is left to go on.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        to: The version to bring them to; latest by default.
        options: Limits of the run.
        by: Who asks, for the history.

    Raises:
        VersionRangeError: *to* is no version of the kind.
        BackfillRefusedError: Every row stands above *to*, or another run of the kind is open.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    target = kind.latest if to is None else to
    await Operating(database, by=by).start(kind, target, options or RunOptions(), now=utc_now)
    return await _status(database, kind.name)


async def backfill_status(database: AnyDatabase, kind: str | None = None) -> list[RunStatus]:
    """
    Return how the last run of each kind stands, or of one kind; reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await run_statuses(database, kind)


async def backfill_pause(database: AnyDatabase, kind: str, *, by: str) -> RunStatus:
    """
    Have nobody work on the kind's run until it is resumed; batches in flight are finished.

    Raises:
        RunNotFoundError: The kind has no run.
        IllegalTransitionError: The run is being cancelled, or has ended.
    """
    await Operating(database, by=by).pause(kind)
    return await _status(database, kind)


async def backfill_resume(database: AnyDatabase, kind: str, *, by: str) -> RunStatus:
    """
    Have the kind's paused or failed run go on where it stopped.

    Raises:
        RunNotFoundError: The kind has no run.
        IllegalTransitionError: The run has succeeded or was cancelled.
    """
    await Operating(database, by=by).resume(kind)
    return await _status(database, kind)


async def backfill_cancel(database: AnyDatabase, kind: str, *, by: str) -> RunStatus:
    """
    End the kind's run for good. Rows that were rewritten stay so; batches in flight are finished.

    Raises:
        RunNotFoundError: The kind has no run.
        IllegalTransitionError: The run has ended already.
    """
    await Operating(database, by=by).cancel(kind)
    return await _status(database, kind)


async def backfill_set(
    database: AnyDatabase, kind: str, option: LiveOption, value: float | None, *, seconds: float | None, by: str
) -> RunStatus:
    """
    Change an option of the kind's open run, for good or for so many seconds; workers keep to it within about a second.

    Raises:
        RunNotFoundError: The kind has no open run.
    """
    await Operating(database, by=by).set(kind, option, value, seconds=seconds)
    return await _status(database, kind)


async def backfill_wait(
    database: AnyDatabase, kind: str, *, poll: float = 1.0, stop: asyncio.Event | None = None
) -> RunStatus:
    """
    Return how the kind's run stands when it has ended, or when *stop* is set; reads only.

    Raises:
        RunNotFoundError: The kind has no run.
    """
    while True:
        status = await _status(database, kind)
        if status.state in ENDED or (stop is not None and stop.is_set()):
            return status
        await asyncio.sleep(poll)


async def work(
    database: AnyDatabase,
    kinds: Iterable[Kind[Any]],
    *,
    drain: bool = False,
    concurrency: int = 1,
    lease: float = LEASE,
    stop: asyncio.Event | None = None,
    throttled: bool = True,
    metrics: WorkerMetrics | None = None,
) -> None:
    """
    Work on every open run of the kinds, together with any number of other processes.

    Args:
        database: A Motor or PyMongo Async database.
        kinds: The kinds.
        drain: Return when no run is open that this process could work on.
        concurrency: How many batches of each run to work on at the same time.
        lease: How long others wait before they take over a batch of a process that vanished, in seconds.
        stop: Once it is set, batches are finished or given back, and the call returns within a few seconds.
        throttled: Hold back when the server shows the load.
        metrics: Counts what is done.
    """
    throttling = Throttling(open_signals(database) if throttled else ())
    if metrics is not None:
        metrics.watch(throttling)
    worker = Worker(
        database,
        {kind.name: kind for kind in kinds},
        who=this_process(),
        stop=stop or asyncio.Event(),
        now=utc_now,
        lease=lease,
        concurrency=concurrency,
        throttling=throttling,
        metrics=metrics,
    )
    try:
        await worker.work(drain=drain)
    finally:
        await briefly(throttling.close())


def this_process() -> Who:
    """
    Return a new worker's name for this process.
    """
    return Who(id=uuid.uuid4().hex, host=socket.gethostname(), pid=os.getpid())


async def backfill_dry_run(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    to: int | None = None,
    sample: int = 0,
    validate: bool = True,
    now: Callable[[], datetime.datetime] = utc_now,
) -> DryRunResult:
    """
    Say what a backfill would do, tried in memory on a batch of rows of every old version. Writes nothing at all.

    Where rows would be rewritten by the server, it is asked what it would make of them, and that is compared with what
    Python makes of the same image of each row.

    Args:
        database: A Motor or PyMongo Async database. On the mock there is no server to compare with, and no sample.
        kind: Whose rows.
        to: The version to bring them to; latest by default.
        sample: Look at so many random rows besides.
        validate: Hold rows that reach latest against the model.
        now: The clock.

    Raises:
        VersionRangeError: *to* is no version of the kind.
        BackfillRefusedError: A backfill would be refused.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    target = kind.latest if to is None else to
    coverage = await counted(database, kind, now)
    refuse_target(kind, coverage, target)
    return await DryRun(database, kind, target=target, sample=sample, validates=validate).run(coverage)


async def adopt(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    stop: asyncio.Event | None = None,
    throttled: bool = True,
    now: Callable[[], datetime.datetime] = utc_now,
) -> AdoptResult:
    """
    Tag every row that has no tag, with the kind's baseline or what its `detect` function says.

    Nothing but the tag is written, each row atomically: no change of any other writer is lost. May be stopped, killed
    and repeated at any time. Builds the (tag, `_id`) index if it is missing.

    Args:
        database: A Motor or PyMongo Async database (or the mock).
        kind: Whose rows.
        stop: Once it is set, the batch in flight is finished and the call ends.
        throttled: Hold back when the server shows the load.
        now: The clock.

    Raises:
        VersionRangeError: The kind's floor is above its baseline.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    throttling = Throttling(open_signals(database) if throttled else ())
    try:
        adoption = Adoption(database, kind, throttling=throttling, stop=stop or asyncio.Event(), now=now)
        return await adoption.adopt()
    finally:
        await throttling.close()


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


async def _status(database: AnyDatabase, kind: str) -> RunStatus:
    for status in await run_statuses(database, kind):
        return status
    raise RunNotFoundError(kind=kind)


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
