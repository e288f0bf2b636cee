"""
Everything that is known of a database, of one and the same minute, for a report.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from docstore.backfill.quarantine_reasons import QuarantineReason, quarantine_reasons
from docstore.backfill.run_status import RunStatus, run_statuses
from docstore.commands.coverage_report import CoverageResult
from docstore.core.control_view import Freeze
from docstore.core.fence_state import FenceState, fence_state
from docstore.core.floor_state import FloorState
from docstore.core.kind import Kind
from docstore.fleet.rollout_status import RolloutStatus, rollout_statuses
from docstore.fleet.status import FleetStatus, fleet_status
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.coverage_samples import CoverageSample, coverage_samples
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.fence import CollectionFence, read_fence


@dataclass(frozen=True, slots=True)
class KindReport:
    """
    Everything that is known of one kind.
    """

    name: str
    #: The field that holds the version.
    tag: str
    counted: CoverageResult
    #: None if no node has worked with the kind.
    rollout: RolloutStatus | None = None
    #: The last run; None if there was none.
    run: RunStatus | None = None
    #: The reason of the most rows first.
    quarantine: tuple[QuarantineReason, ...] = ()
    #: In the order of time.
    history: tuple[CoverageSample, ...] = ()
    #: None if nobody has settled a floor or a fence.
    floor: FloorState | None = None
    #: How the server validates the rows at the moment; None where nobody asked.
    validated: CollectionFence | None = None

    @property
    def fence(self) -> FenceState:
        """
        How the fence that stands and the one that was recorded go together.
        """
        if self.validated is None:
            return FenceState.NONE
        recorded = None if self.floor is None else self.floor.fence
        return fence_state(self.name, self.tag, recorded, self.validated.validation, self.validated.parts)


@dataclass(frozen=True, slots=True)
class DatabaseReport:
    """
    Everything that is known of the kinds of a database, and of who works with it.
    """

    database: str
    at: datetime.datetime
    kinds: tuple[KindReport, ...]
    fleet: FleetStatus
    #: None if operators may advance rollouts.
    freeze: Freeze | None = None


async def database_report(
    database: AnyDatabase, kinds: Sequence[Kind[Any]], counted: Sequence[CoverageResult], *, at: datetime.datetime
) -> DatabaseReport:
    """
    Return what else is known of kinds whose rows were counted; reads only, and of rows only tags of those put aside.

    Args:
        database: A PyMongo Async database.
        kinds: Which ones.
        counted: What `coverage` returned for the same kinds.
        at: The date of the report.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: A record is that of another release of docstore.
    """
    view = await ControlRecords(database).view()
    rollouts = {status.kind: status for status in await rollout_statuses(database, kinds)}
    runs = {status.kind: status for status in await run_statuses(database)}
    found = [
        KindReport(
            name=kind.name,
            tag=kind.version_field,
            counted=result,
            rollout=rollouts.get(kind.name),
            run=runs.get(kind.name),
            quarantine=tuple(await quarantine_reasons(database, kind)),
            history=tuple(await coverage_samples(database, kind.name)),
            floor=view.floors.get(kind.name),
            validated=await read_fence(database, kind.collection),
        )
        for kind, result in zip(kinds, counted, strict=True)
    ]
    return DatabaseReport(
        database=database.name, at=at, kinds=tuple(found), fleet=await fleet_status(database), freeze=view.freeze
    )
