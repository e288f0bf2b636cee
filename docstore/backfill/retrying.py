"""
Trying rows in quarantine again, after the step (or the row) was mended.
"""

import datetime
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from docstore.backfill import events
from docstore.backfill.ceiling import above
from docstore.backfill.directing import in_python
from docstore.backfill.downgrading import Trimmer
from docstore.backfill.patience import patiently
from docstore.backfill.progress import Meter
from docstore.backfill.putting_aside import PuttingAside
from docstore.backfill.upgrading import Upgraded, Upgrader
from docstore.core.bson_values import comparison_key
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.rollout_state import RolloutState
from docstore.core.write_version import ControlState
from docstore.errors import BackfillRefusedError, NotQuarantinedError, VersionRangeError
from docstore.fleet.membership import Membership
from docstore.fleet.write_bound import bounded_write
from docstore.mongo.batch_writing import BatchWriter, Rewrite, Written, refused_rows
from docstore.mongo.chosen_rows import CHOSEN_AT_ONCE, chosen_rows
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.reading import RowSource
from docstore.mongo.tag_index import build_tag_index, find_tag_index

#: How often a row that keeps changing is tried before the next retry has to take it.
TRIES: Final = 5


class RetryResult(BaseModel):
    """
    What became of the rows that were tried again.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    #: Records that were tried.
    tried: int
    #: Rows that were rewritten; their records are gone.
    succeeded: int
    #: Rows that failed again; their records say why, and count the try.
    failed: int
    #: Rows that needed nothing any more, because they are gone or were mended meanwhile; their records are gone.
    settled: int
    #: Rows that others changed at every try; their records stand as they were.
    contested: int


class Retry:
    """
    Brings rows in quarantine to the version where they were to go, through Python and under the guard.

    Nothing of any other writer is lost (P1), and a row that reaches latest has to fit the model. May be stopped and
    repeated at any time.

    Args:
        database: Where the rows are.
        kind: Whose rows.
        record_error_text: Keep the texts of errors; they can hold values of rows.
        now: The clock.
        member: This process as a part of its fleet; says above which version no row goes.
        trims_to: Try only the rows that were to go down to this version, and trim what it has no place for.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[Any],
        *,
        record_error_text: bool,
        now: Callable[[], datetime.datetime],
        member: Membership,
        trims_to: int | None = None,
    ) -> None:
        self._member = member
        self._database = database
        self._kind = kind
        self._quarantine = Quarantine(database, kind.name)
        self._with_text = record_error_text
        self._now = now
        self._trims_to = trims_to
        self._started = now()
        self._meter = Meter()
        self._contested = 0

    async def retry(self, ids: Sequence[Any] | None) -> RetryResult:
        """
        Try rows again: those with these ids, or all of the kind.

        Raises:
            NotQuarantinedError: An id has no record; nothing was tried.
            VersionRangeError: A row was to go to a version that this code does not have; nothing was tried.
            BackfillRefusedError: An operator has given up meanwhile what the rows were going there for; those that are
                left stay as they are.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        kind = self._kind
        groups = await self._groups(ids)
        for _, target, _ in groups:
            if not kind.floor <= target <= kind.latest:
                raise VersionRangeError(kind=kind.name, asked=target, floor=kind.floor, latest=kind.latest)
        for (direction, target, version), chosen in groups.items():
            await self._bring(chosen, direction, target, version)
        await patiently(lambda: self._quarantine.settle(kind.collection, kind.version_field))
        result = self._result(sum(map(len, groups.values())))
        events.quarantine_retried(**result.model_dump(exclude={"settled"}))
        return result

    async def _groups(self, ids: Sequence[Any] | None) -> dict[tuple[Direction, int, int | None], list[Any]]:
        """
        Return the ids of the rows to try: by how and to which version they were to go, and where they failed.
        """
        kind = self._kind
        groups: dict[tuple[Direction, int, int | None], list[Any]] = {}
        missing = {comparison_key(row_id): row_id for row_id in ids or ()}
        async with aclosing(self._quarantine.kept(kind.collection, kind.version_field, ids=ids)) as records:
            async for kept in records:
                record = kept.record
                if self._trims_to is not None and (record.direction, record.target) != (Direction.DOWN, self._trims_to):
                    continue
                target = self._target(record.direction, record.target, record.version, named=ids is not None)
                if target is not None:
                    groups.setdefault((record.direction, target, record.version), []).append(record.row_id)
                missing.pop(comparison_key(record.row_id), None)
        for row_id in missing.values():
            raise NotQuarantinedError(kind=kind.name, id=row_id)
        return groups

    def _target(self, direction: Direction, target: int, version: int | None, *, named: bool) -> int | None:
        """
        Return the version to which a row may go now; None where it has to stay.
        """
        ceiling = self._member.ceiling(self._kind.name)
        if ceiling is None or target <= ceiling or direction is Direction.ADOPT:
            return target
        standing = self._kind.baseline if version is None else version
        if direction is Direction.UP and standing < ceiling:
            return ceiling
        if named:
            raise BackfillRefusedError(
                kind=self._kind.name,
                reason=f"a row was to go to version {target}, above the write version {ceiling}",
                advice=f"docstore rollout advance {self._kind.name} raises the write version",
            )
        return None

    async def _bring(self, ids: Sequence[Any], direction: Direction, target: int, version: int | None) -> None:
        writer = await self._writer()
        upgrader = in_python(direction, self._kind, target, writer)
        if self._trims_to is not None:
            upgrader = Trimmer(self._kind, target, writer)
        aside = PuttingAside(
            self._quarantine,
            target=target,
            direction=direction,
            with_text=self._with_text,
            run=self._started,
            now=self._now,
            meter=self._meter,
        )
        for first in range(0, len(ids), CHOSEN_AT_ONCE):
            rows = await self._read(ids[first : first + CHOSEN_AT_ONCE])
            for _ in range(TRIES):
                upgraded = _upgraded(upgrader, rows)
                await aside.put(upgraded.poison, version=version)
                rows = await self._write(upgraded.rewrites, writer, aside, version)
                if not rows:
                    break
            self._contested += len(_upgraded(upgrader, rows).rewrites)

    async def _write(
        self, batch: Sequence[Rewrite], writer: BatchWriter, aside: PuttingAside, version: int | None
    ) -> Sequence[bytes]:
        """
        Write a batch; return the rows that have to be looked at again, because others changed some of them.
        """
        if not batch:
            return ()
        written = await patiently(lambda: self._written(batch, writer, aside))
        self._meter.add(client=written.rewritten)
        await aside.put(refused_rows(batch, written), version=version)
        if written.rewritten + len(written.refused) == len(batch):
            return ()
        # The answer does not say which rows did not match: those that were written need nothing when read again.
        return await self._read([rewrite.id for place, rewrite in enumerate(batch) if place not in written.refused])

    async def _written(self, batch: Sequence[Rewrite], writer: BatchWriter, aside: PuttingAside) -> Written:
        async with bounded_write(self._member, self._kind.name) as control:
            self._refuse_late(control, aside.direction, aside.target)
            return await writer.write(batch)

    def _refuse_late(self, control: ControlState, direction: Direction, target: int) -> None:
        """
        Refuse to go on with what an operator has given up since the rows were chosen.
        """
        kind = self._kind.name
        if above(self._member, kind, target, direction):
            raise BackfillRefusedError(
                kind=kind,
                reason=f"rows were going to version {target}, and the write version is {control.write_version} by now",
                advice="what was rewritten before that is brought back by the rollback",
            )
        if self._trims_to is not None and control.state is not RolloutState.ROLLING_BACK:
            raise BackfillRefusedError(
                kind=kind,
                reason=f"rows were being trimmed for a rollback, and the rollout is {control.state} by now",
                advice=f"docstore rollout history {kind} says who moved it",
            )

    async def _read(self, ids: Sequence[Any]) -> Sequence[bytes]:
        return await patiently(lambda: chosen_rows(self._database, self._kind.collection, ids))

    async def _writer(self) -> BatchWriter:
        kind, database = self._kind, self._database
        index = await patiently(lambda: find_tag_index(database, kind.collection, kind.version_field))
        if index is None:
            index = await patiently(lambda: build_tag_index(database, kind.collection, kind.version_field))
        source = RowSource(database, kind.collection)
        collated = driver_of(database) is not Driver.MOCK and await patiently(source.has_collation)
        return BatchWriter(database, kind, index=index, collated=collated)

    def _result(self, tried: int) -> RetryResult:
        done = self._meter.now
        return RetryResult(
            kind=self._kind.name,
            tried=tried,
            succeeded=done.client,
            failed=done.quarantined,
            settled=tried - done.client - done.quarantined - self._contested,
            contested=self._contested,
        )


def _upgraded(upgrader: Upgrader, rows: Sequence[bytes]) -> Upgraded:
    upgraded = Upgraded()
    upgrader.upgrade(rows, upgraded)
    return upgraded
