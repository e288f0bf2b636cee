"""
What stands in the way of retiring every version below latest, for the coverage report.
"""

from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from docstore.core.control_view import ControlView
from docstore.core.coverage import Coverage, TagCount
from docstore.core.fleet_facts import Fleet
from docstore.core.floor_state import FloorState
from docstore.core.kind import Kind
from docstore.core.retirement_gates import Retirement, RetirementFacts, retirable_below, retirement_blockers, rows_below
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.coverage_history import clear_for, clear_since
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.runs import Runs

#: Nobody asks for the time where nothing has begun.
_UNKNOWN: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Writers:
    """
    Who works with a database, looked at before rows are counted: what somebody stored that is gone by then is counted.
    """

    view: ControlView
    fleet: Fleet

    def write_version(self, kind: str) -> int | None:
        """
        Return what nodes store; None where none has worked with the kind yet.
        """
        control = self.view.controls.get(kind)
        return None if control is None else control.write_version


async def writers(database: AnyDatabase) -> Writers:
    """
    Return who works with a database; reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: A record is that of another release of docstore.
    """
    view = await ControlRecords(database).view()
    return Writers(view, Fleet(await NodeRecords(database).all(), view.readers))


async def with_gates(
    database: AnyDatabase, kind: Kind[Any], coverage: Coverage, tags: tuple[TagCount, ...], before: Writers
) -> Coverage:
    """
    Return a coverage with everything in it that stands in the way of a retirement, not rows alone; reads only.

    Args:
        database: Where the records are.
        kind: Whose rows were counted.
        coverage: What was found, and is recorded already.
        tags: All rows by tag.
        before: Who worked with the database before they were counted.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: A record is that of another release of docstore.
    """
    facts = await _facts(database, kind, coverage, tags, before)
    floor = max(kind.floor, facts.floor.floor or 0)
    if kind.latest > floor:
        blockers = retirement_blockers(Retirement(below=kind.latest), facts)
    else:
        blockers = list(rows_below(kind.latest, facts))
    found = {
        "retirable_below": retirable_below(facts, kind.latest),
        "blockers": tuple(blocker.words for blocker in blockers),
    }
    return coverage.model_copy(update=found)


async def _facts(
    database: AnyDatabase, kind: Kind[Any], coverage: Coverage, tags: tuple[TagCount, ...], before: Writers
) -> RetirementFacts:
    view = before.view
    open_runs = await Runs(database).open(kind.name)
    since, now = await _clear(database, kind)
    return RetirementFacts(
        kind=kind.name,
        control=view.controls.get(kind.name),
        fleet=before.fleet,
        floor=view.floors.get(kind.name) or FloorState(kind.name, view.epoch),
        tags=tags,
        exact=coverage.exact,
        quarantined=await _aside(database, kind) if coverage.quarantined else {},
        run=open_runs[0].id if open_runs else None,
        asked=coverage.client_versions,
        frozen=view.freeze is not None,
        clear_since=since,
        now=now,
    )


async def _clear(database: AnyDatabase, kind: Kind[Any]) -> tuple[datetime | None, datetime]:
    since = await clear_since(database, kind.name, kind.latest)
    seconds = await clear_for(database, kind.name, kind.latest)
    if since is None or seconds is None:
        return None, _UNKNOWN
    return since, since + timedelta(seconds=seconds)


async def _aside(database: AnyDatabase, kind: Kind[Any]) -> dict[int | None, int]:
    by_version: Counter[int | None] = Counter()
    async with aclosing(Quarantine(database, kind.name).kept(kind.collection, kind.version_field)) as records:
        async for kept in records:
            by_version[kept.record.version] += 1
    return dict(by_version)
