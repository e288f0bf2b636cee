"""
Counting the rows of one kind for a report: all of them or what stands below latest, and what is kept of it.
"""

import datetime
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from bson.timestamp import Timestamp

from docstore.backfill.ceiling import ceiling_of
from docstore.commands.asked_versions import asked_versions
from docstore.commands.coverage_gates import with_gates, writers
from docstore.core.coverage import Coverage, OldestRow, TagCount, coverage_of, untagged_version
from docstore.core.creation_field import creation_field
from docstore.core.kind import Kind
from docstore.errors import RecordFormatError, StoreError, StoreRejectedError
from docstore.fleet.floors import floor_findings_of
from docstore.fleet.home import is_restored, settle_home
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.counting import Way, count_rows
from docstore.mongo.coverage_history import committed_time, record_counts
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.index_cost import MissingIndexCost, missing_index_cost
from docstore.mongo.moment import wait_for_majority
from docstore.mongo.oldest_rows import oldest_row, oldest_row_by
from docstore.mongo.tag_index import TagIndexes, build_tag_index, find_tag_indexes

_RESTORED: Final = "the database was restored from a backup, or copied, and nobody has worked with it since"


class IndexState(StrEnum):
    """
    Whether the indexes on the tag are there, which make coverage and backfill cheap.
    """

    READY = "ready"
    #: The small one on odd tags is not there, so every key of the other one is looked at.
    INCOMPLETE = "incomplete"
    MISSING = "missing"
    BUILT = "built"


@dataclass(frozen=True, slots=True)
class Counted:
    """
    What was counted, and how.
    """

    coverage: Coverage
    tags: tuple[TagCount, ...]
    index: IndexState
    way: Way
    #: What the missing index costs; None where it is there, or nobody knows.
    cost: MissingIndexCost | None
    #: Whether the counts are kept: for the history, and for the time that no row has stood below a version.
    recorded: bool


@dataclass(frozen=True, slots=True)
class Counting:
    """
    Counts the rows of kinds.
    """

    database: AnyDatabase
    now: Callable[[], datetime.datetime]
    #: Wait until a majority of the members has acknowledged what was written before.
    majority: bool = False
    record: bool = True
    create_index: bool = False
    on_index_build: Callable[[str], None] | None = None

    async def count(self, kind: Kind[Any], *, below: int | None = None) -> Counted:
        """
        Count all rows of a kind, or with *below* those that are at no version from that one on.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        database, is_mock = self.database, driver_of(self.database) is Driver.MOCK
        index = await self._index(kind)
        if self.majority and not is_mock:
            await wait_for_majority(database, kind.collection)
        # Somebody who stores rows while they are counted is seen, or what he stored is counted.
        known = None if is_mock or below is not None else await writers(database)
        before = await self._time()
        counted_at = self.now()
        counts = await count_rows(
            database, kind=kind.name, collection=kind.collection, field=kind.version_field, below=below
        )
        coverage = coverage_of(
            kind,
            counts.tags,
            quarantined=counts.quarantined,
            counted_at=counted_at,
            exact=counts.one_moment,
            write_version=await ceiling_of(database, kind.name) if known is None else known.write_version(kind.name),
            client_versions=await asked_versions(database, kind, counted_at),
        )
        coverage = coverage.model_copy(update={"oldest_below": await self._oldest(kind, coverage)})
        recorded = False
        if not is_mock:
            coverage = await self._with_floor(kind, coverage)
        if self.record and not is_mock:
            # A report is worth having also where its reader may not write.
            with suppress(StoreError, RecordFormatError):
                await record_counts(database, kind, coverage, before=before, up_to=below)
                recorded = True
        if known is not None:
            coverage = await with_gates(database, kind, coverage, counts.tags, known)
        cost = None
        if index is IndexState.MISSING:
            with suppress(StoreRejectedError):
                cost = await missing_index_cost(database, kind.collection)
        return Counted(coverage, counts.tags, index, counts.way, cost, recorded)

    async def _time(self) -> Timestamp | None:
        # Without it no time begins; that is no reason to tell nothing.
        with suppress(StoreRejectedError):
            return await committed_time(self.database) if self.record else None
        return None

    async def _with_floor(self, kind: Kind[Any], coverage: Coverage) -> Coverage:
        if self.record:
            # Whoever comes first to a restored backup sees to it that nobody goes on with the runs in it.
            with suppress(StoreRejectedError):
                await settle_home(self.database, by="docstore coverage")
        # Whoever may not write, or is not to, tells of it at least.
        words: tuple[str, ...] = (_RESTORED,) if await is_restored(self.database) else ()
        view = await ControlRecords(self.database).view()
        if kind.name in view.floors:
            words += tuple(finding.words for finding in await floor_findings_of(self.database, kind, view))
        return coverage.model_copy(update={"recorded_floor": view.floor_of(kind.name).floor, "bypassed": words})

    async def _index(self, kind: Kind[Any]) -> IndexState:
        found = await find_tag_indexes(self.database, kind.collection, kind.version_field)
        state = _state(found, mock=driver_of(self.database) is Driver.MOCK)
        if state is IndexState.READY or not self.create_index:
            return state
        if self.on_index_build is not None:
            self.on_index_build(kind.name)
        await build_tag_index(self.database, kind.collection, kind.version_field)
        return IndexState.BUILT

    async def _oldest(self, kind: Kind[Any], coverage: Coverage) -> OldestRow | None:
        below = [count.version for count in coverage.versions if count.version < kind.latest]
        untagged = untagged_version(kind) if coverage.untagged else None
        if untagged is not None and untagged >= kind.latest:
            untagged = None
        where = (self.database, kind.collection, kind.version_field, below)
        found, created = await oldest_row(*where, untagged=untagged), creation_field(kind)
        if found is not None or created is None:
            return found
        return await oldest_row_by(*where, untagged=untagged, created=created)


def _state(indexes: TagIndexes, *, mock: bool) -> IndexState:
    if indexes.tag is None:
        return IndexState.MISSING
    return IndexState.READY if indexes.odd is not None or mock else IndexState.INCOMPLETE
