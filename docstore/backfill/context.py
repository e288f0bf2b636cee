"""What every part of a run needs to know."""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from docstore.backfill import pacing
from docstore.backfill.progress import Meter, Path
from docstore.backfill.putting_aside import PuttingAside
from docstore.backfill.validation import Validation
from docstore.core.chain import CompiledChain
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.run_scope import RunScope
from docstore.fleet.membership import Alone, Membership
from docstore.mongo.batch_writing import BatchWriter
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.old_rows import OldRows
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.selections import Selection
from docstore.mongo.server_results import ServerResults


async def _at_once(_: int) -> None:
    """
    Go on without a pause.
    """


def _unnoticed(_: float) -> None:
    """
    Nobody reckons with it.
    """


def _unbounded(_: Path) -> None:
    """
    Rewrite as many rows as there are.
    """


def _first_page() -> int:
    """
    Read as many rows at a time as before anything is known of them.
    """
    return pacing.FIRST_PAGE


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run: whose rows, to which version, and who counts and says when to stop."""

    database: AnyDatabase
    kind: Kind[Any]
    target: int
    meter: Meter
    stop: asyncio.Event
    #: When the run was asked for; tells one run's tries of a row from another's.
    begun: datetime.datetime
    #: Keep the texts of errors in quarantine; they can hold values of rows.
    with_text: bool
    #: The clock that quarantine records are dated with.
    now: Callable[[], datetime.datetime]
    #: The name of the (tag, `_id`) index.
    index: str
    #: Whether the collection has a collation of its own.
    collated: bool
    #: Which rows have to fit the model.
    validation: Validation
    #: The rows that the run is limited to; None stands for every row.
    selection: Selection | None = None
    direction: Direction = Direction.UP
    #: This process as a part of its fleet: what it may store, and whether it may at all.
    member: Membership = field(default_factory=lambda: Alone(()))
    #: Awaited after every page of rows, and told how many reads it needed; pauses while the backfill holds back.
    breathe: Callable[[int], Awaitable[None]] = _at_once
    #: Told for how many seconds this process was busy with itself; the others need no pause from that.
    computed: Callable[[float], None] = _unnoticed
    #: The ids of rows that killed the workers which took them, as far as is known; grows while the run goes on.
    deadly: list[Any] = field(default_factory=list)
    #: Says how many rows are rewritten between two pauses on a path at the moment; None where nothing holds back.
    burst: Callable[[Path], int | None] = _unbounded
    #: Says how many rows are read, upgraded and written together in Python at the moment.
    page: Callable[[], int] = _first_page
    #: The ways to the target that were compiled already, by where they begin.
    ways: dict[int | None, CompiledChain | None] = field(default_factory=dict)

    @property
    def scope(self) -> RunScope:
        """
        Which rows the run is about.
        """
        return RunScope(self.kind, self.target, self.direction)

    @property
    def results(self) -> ServerResults:
        """What the server would make of rows."""
        return ServerResults(
            self.database,
            self.kind.collection,
            field=self.kind.version_field,
            index=self.index,
            collated=self.collated,
            selection=self.selection,
            avoid=self.deadly,
        )

    @property
    def aside(self) -> PuttingAside:
        """What puts rows aside that cannot be upgraded."""
        return PuttingAside(
            Quarantine(self.database, self.kind.name),
            target=self.target,
            direction=self.direction,
            with_text=self.with_text,
            run=self.begun,
            now=self.now,
            meter=self.meter,
        )

    def old_rows(self, version: int | None) -> OldRows:
        """Return the rows at a version (None: untagged)."""
        return OldRows(
            self.database,
            self.kind.collection,
            field=self.kind.version_field,
            version=version,
            index=self.index,
            collated=self.collated,
            selection=self.selection,
            avoid=self.deadly,
        )

    def writer(self) -> BatchWriter:
        """Return what rewrites rows under the guard."""
        return BatchWriter(self.database, self.kind, index=self.index, collated=self.collated)
