"""One run of a backfill: passes over the old rows until none is left that can be upgraded."""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.context import RunContext
from docstore.backfill.one_pass import run_pass
from docstore.backfill.patience import patiently
from docstore.backfill.progress import BackfillResult, Meter, OnProgress, Phase
from docstore.backfill.putting_aside import PuttingAside
from docstore.core.coverage import Coverage, coverage_of, rows_below
from docstore.core.kind import Kind
from docstore.errors import BackfillRefusedError, VersionRangeError
from docstore.mongo.counting import count_rows
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.reading import RowSource
from docstore.mongo.tag_index import build_tag_index, find_tag_index

#: How often the old rows are gone through before a run gives up on writers that keep adding or changing them.
MAX_PASSES: Final = 10


class Run:
    """
    One run: brings every row of a kind that stands below *target* up to it.

    Any number of runs, and any other writer, may work on the same rows at the same time: every rewrite is atomic and
    conditional (P1, P2, P3). A run that was stopped or killed leaves nothing behind that another would have to clean
    up; the next one goes on with the rows that are still old.

    Args:
        database: A Motor or PyMongo Async database. On the mock every row takes the client path.
        kind: Whose rows.
        target: The version to bring them to.
        record_error_text: Keep the texts of errors in quarantine; they can hold values of rows.
        on_progress: Told after every batch.
        stop: Once it is set, batches in flight are finished and the run ends.
        now: The clock.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[Any],
        *,
        target: int,
        record_error_text: bool,
        on_progress: OnProgress | None,
        stop: asyncio.Event,
        now: Callable[[], datetime.datetime],
    ) -> None:
        if not kind.floor <= target <= kind.latest:
            raise VersionRangeError(kind=kind.name, asked=target, floor=kind.floor, latest=kind.latest)
        self._database = database
        self._kind = kind
        self._target = target
        self._stop = stop
        self._now = now
        self._started = now()
        self._meter = Meter(on_progress)
        self._quarantine = Quarantine(database, kind.name)
        self._with_text = record_error_text
        self._index_built = False
        self._passes = 0

    async def run(self) -> BackfillResult:
        """
        Run to the end.

        Raises:
            BackfillRefusedError: Every stored row stands above the target.
            StoreUnavailableError: The database stayed away for a minute.
            StoreRejectedError: It refused what the run needs to do.
        """
        kind = self._kind
        coverage = await self._count()
        self._refuse_to_bring_down(coverage)
        remaining = rows_below(kind, coverage, self._target)
        events.backfill_started(kind=kind.name, target=self._target, rows=remaining)
        if remaining:
            remaining = await self._until_done(coverage, remaining)
        await patiently(lambda: self._quarantine.settle(kind.collection, kind.version_field))
        result = self._result(remaining)
        events.backfill_ended(**result.model_dump())
        return result

    async def _until_done(self, coverage: Coverage, remaining: int) -> int:
        """Go through the old rows until a pass finds nothing more to do; return how many rows are still below."""
        context = await self._context()
        self._meter.set(phase=Phase.REWRITE, total=remaining)
        while remaining and not self._stop.is_set() and self._passes < MAX_PASSES:
            rewritten = self._meter.now.rewritten
            self._meter.begin_pass()
            outcome = await run_pass(context, coverage)
            self._passes += 1
            self._meter.set(phase=Phase.COUNT)
            coverage = await self._count()
            remaining = max(rows_below(self._kind, coverage, self._target) - outcome.untouched, 0)
            if self._meter.now.rewritten == rewritten and not outcome.contested:
                # It met every row that stood below when it began, and could upgrade none of them.
                break
        return remaining

    async def _count(self) -> Coverage:
        kind = self._kind
        counts = await patiently(
            lambda: count_rows(self._database, kind=kind.name, collection=kind.collection, field=kind.version_field)
        )
        return coverage_of(
            kind,
            counts.tags,
            quarantined=counts.quarantined,
            counted_at=self._now(),
            exact=counts.one_moment,
        )

    async def _context(self) -> RunContext:
        kind = self._kind
        index = await patiently(lambda: find_tag_index(self._database, kind.collection, kind.version_field))
        if index is None:
            self._meter.set(phase=Phase.INDEX)
            events.building_index(kind=kind.name, collection=kind.collection)
            index = await patiently(lambda: build_tag_index(self._database, kind.collection, kind.version_field))
            self._index_built = True
        collated = driver_of(self._database) is not Driver.MOCK and await patiently(
            RowSource(self._database, kind.collection).has_collation
        )
        return RunContext(
            database=self._database,
            kind=kind,
            target=self._target,
            meter=self._meter,
            aside=PuttingAside(
                self._quarantine,
                target=self._target,
                with_text=self._with_text,
                run=self._started,
                now=self._now,
                meter=self._meter,
            ),
            stop=self._stop,
            index=index,
            collated=collated,
        )

    def _refuse_to_bring_down(self, coverage: Coverage) -> None:
        rows_above = sum(count.rows for count in coverage.versions if count.version > self._target)
        if coverage.total and rows_above == coverage.total:
            raise BackfillRefusedError(
                kind=self._kind.name,
                reason=f"every row stands above version {self._target}, and a backfill brings rows up only",
                advice=f"docstore coverage {self._kind.name} shows where they stand",
            )

    def _result(self, remaining: int) -> BackfillResult:
        counted = self._meter.now
        return BackfillResult(
            kind=self._kind.name,
            target=self._target,
            server=counted.server,
            client=counted.client,
            conflicts=counted.conflicts,
            quarantined=counted.quarantined if remaining else 0,
            remaining=remaining,
            passes=self._passes,
            seconds=(self._now() - self._started).total_seconds(),
            index_built=self._index_built,
            interrupted=self._stop.is_set(),
        )
