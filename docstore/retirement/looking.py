"""
Gathering what a verdict on a retirement rests on.
"""

import datetime
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

from docstore.core.control_view import ControlView
from docstore.core.coverage import ClientVersion, Coverage, coverage_of
from docstore.core.fleet_facts import Fleet
from docstore.core.kind import Kind
from docstore.core.retirement_gates import RetirementFacts
from docstore.errors import StoreRejectedError
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.counting import count_rows
from docstore.mongo.coverage_history import clear_since, committed_time, record_counts
from docstore.mongo.driver import AnyDatabase, newest
from docstore.mongo.moment import wait_for_majority
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.runs import Runs
from docstore.mongo.server_time import server_time

#: Tells which older versions clients have asked for, up to a time.
Asked: TypeAlias = Callable[[datetime.datetime], Awaitable[Sequence[ClientVersion]]]


@dataclass(frozen=True, slots=True)
class Look:
    """
    What was seen, and the control records on which a change may rest that follows from it.
    """

    view: ControlView
    facts: RetirementFacts
    coverage: Coverage


class Looking:
    """
    Looks at everything that may stand in the way of retiring versions of one kind.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        asked: Tells which older versions clients have asked for.
    """

    def __init__(self, database: AnyDatabase, kind: Kind[Any], *, asked: Asked) -> None:
        # A secondary may lag behind the fence.
        self._database = newest(database)
        self._kind = kind
        self._asked = asked

    async def look(self, below: int) -> Look:
        """
        Return what there is to see, and record what the count has shown.

        In an order in which nothing slips through: the control records first, because a change that rests on them is
        void if a node joined or an operator was quicker since; the rows last, because what a node stored that is gone
        by then is counted. Rows that were stored before are counted, also those that only one member has yet: a fence
        that stands keeps those away that come after it, and not those that came before.

        Raises:
            RecordFormatError: A record is that of another release of docstore.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        database, kind = self._database, self._kind
        view = await ControlRecords(database).settled_view()
        fleet = Fleet(await NodeRecords(database).all(), view.readers)
        runs = await Runs(database).open(kind.name)
        aside = await self._aside()
        waited = await self._wait_for_majority()
        before = await committed_time(database)
        counts = await count_rows(database, kind=kind.name, collection=kind.collection, field=kind.version_field)
        now = await server_time(database)
        asked = await self._asked(now)
        coverage = coverage_of(
            kind,
            counts.tags,
            quarantined=counts.quarantined,
            counted_at=now,
            exact=counts.one_moment and waited,
            client_versions=asked,
        )
        await record_counts(database, kind, coverage, before=before)
        facts = RetirementFacts(
            kind=kind.name,
            control=view.controls.get(kind.name),
            fleet=fleet,
            floor=view.floor_of(kind.name),
            tags=counts.tags,
            exact=coverage.exact,
            quarantined=aside,
            run=runs[0].id if runs else None,
            asked=asked,
            frozen=view.freeze is not None,
            clear_since=await clear_since(database, kind.name, below),
            now=now,
        )
        return Look(view, facts, coverage)

    async def _wait_for_majority(self) -> bool:
        """
        Return once counts show what any member has; tell whether that can be said of this server.
        """
        try:
            await wait_for_majority(self._database, self._kind.collection)
        except StoreRejectedError:
            # A standalone server has no majority; what was counted there is not exact in any case.
            return False
        return True

    async def _aside(self) -> Counter[int | None]:
        aside: Counter[int | None] = Counter()
        kept = Quarantine(self._database, self._kind.name).kept(self._kind.collection, self._kind.version_field)
        async with aclosing(kept) as records:
            async for record in records:
                aside[record.record.version] += 1
        return aside
