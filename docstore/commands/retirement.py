"""
Retiring versions of a kind: asked for, finished, undone, or only looked at.
"""

import datetime
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.commands.asked_versions import asked_versions
from docstore.core.blocker import Blocker, facts_of
from docstore.core.coverage import ClientVersion
from docstore.core.fence_level import FenceLevel
from docstore.core.fleet_facts import Fleet
from docstore.core.floor_state import FloorState
from docstore.core.kind import Kind
from docstore.core.retirement_gates import SOAK, Retirement, RetirementFacts, rows_below
from docstore.core.view_pipeline import view_name
from docstore.errors import RetirementRefusedError, VersionRangeError
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.counting import count_rows
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.fence import MAX_TIME_MS, read_fence
from docstore.mongo.views import Views
from docstore.retirement.act import Retirements
from docstore.retirement.archive import archive
from docstore.retirement.leftovers import Leftovers, leftovers, step_files
from docstore.retirement.looking import Looking


class RetirementState(StrEnum):
    """How a retirement ended."""

    #: The floor is recorded: no row stands below it, and none can be stored there.
    RETIRED = "retired"
    #: The floor is recorded, and nothing keeps rows below it away.
    UNPROVED = "unproved"
    #: It was only looked at, and nothing is in the way.
    POSSIBLE = "possible"
    #: It was only looked at, and something is in the way.
    BLOCKED = "blocked"
    #: Everything was put back.
    UNDONE = "undone"


class RetirementBlocker(BaseModel):
    """One thing that is in the way."""

    model_config = ConfigDict(frozen=True)

    cause: str
    words: str
    facts: Mapping[str, Any]


class RetirementProof(BaseModel):
    """Who recorded a floor, when, and what was counted that proved it."""

    model_config = ConfigDict(frozen=True)

    by: str
    at: datetime.datetime
    rows: int
    #: The same by version.
    versions: Mapping[str, int]
    clear_since: datetime.datetime | None
    #: In seconds.
    soak: float
    fenced: bool
    why: str


class RetirementResult(BaseModel):
    """What became of a retirement, and what it lets go."""

    model_config = ConfigDict(frozen=True)

    kind: str
    #: V: what is retired stands below it.
    below: int
    state: RetirementState
    #: The recorded floor; null as long as nobody has settled one.
    floor: int | None
    proof: RetirementProof | None
    blockers: tuple[RetirementBlocker, ...] = ()
    #: What may be deleted; null where nothing is retired.
    leftovers: Leftovers | None = None
    #: The views of versions below, which were dropped.
    views: tuple[str, ...] = ()
    #: Where the step files are that were archived.
    archived: tuple[str, ...] = ()


async def retire(
    database: AnyDatabase,
    kind: Kind[Any],
    below: int,
    *,
    by: str,
    why: str = "",
    soak: float = SOAK,
    fenced: bool = True,
    ignored_nodes: frozenset[str] = frozenset(),
    archived: bool = False,
    max_time_ms: int = MAX_TIME_MS,
) -> RetirementResult:
    """
    Prove and record that no row of a kind stands below a version, and have the server refuse such rows from then on.

    All or nothing: where something is in the way everything is left, or put back, as it was. A process that dies in
    the midst of it leaves a retirement that anybody finishes (`retire_resume`) or undoes (`retire_undo`). Asked for
    again once it is recorded, it does what may be left to do: views, files.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        below: The floor that is to be.
        by: Who asks, for the history.
        why: What the history says of it.
        soak: How long no row must have stood below, in seconds; 0 for no such time.
        fenced: Have the server refuse rows below; without that the floor stays unproved.
        ignored_nodes: Nodes that vanished and are known to be gone, by instance or id.
        archived: Move the step files that are needed no more into `retired/`.
        max_time_ms: How long the fence waits for open transactions, in milliseconds.

    Raises:
        VersionRangeError: *below* is no version that can be a floor of this code.
        RetirementRefusedError: Carries everything that is in the way.
        FenceRefusedError: The fence cannot be raised; everything was put back.
        StepFileError: A step file cannot be archived; the floor is recorded.
        StoreUnavailableError: The database; a retirement may be under way.
        StoreRejectedError: The database.
    """
    _require_version(kind, below)
    floor = (await ControlRecords(database).settled_view()).floor_of(kind.name)
    if not await _is_retired(database, kind, floor, below, fenced=fenced):
        wish = Retirement(below, soak, fenced, ignored_nodes)
        floor = await _retirements(database, kind, by, max_time_ms).retire(wish, why=why)
    return await _retired(database, kind, floor, archived=archived)


async def retire_dry_run(
    database: AnyDatabase,
    kind: Kind[Any],
    below: int,
    *,
    soak: float = SOAK,
    fenced: bool = True,
    ignored_nodes: frozenset[str] = frozenset(),
) -> RetirementResult:
    """
    Tell what `retire` would say, and what it would let go; records what was counted, and decides nothing.

    Raises:
        VersionRangeError: *below* is no version that can be a floor of this code.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    _require_version(kind, below)
    wish = Retirement(below, soak, fenced, ignored_nodes)
    seen, blockers = await _retirements(database, kind, "", MAX_TIME_MS).look(wish)
    state = RetirementState.BLOCKED if blockers else RetirementState.POSSIBLE
    floor = seen.facts.floor
    views = () if blockers else await _views_below(database, kind, below)
    return _result(kind, below, state, floor, blockers, leftovers=leftovers(kind, below), views=views)


async def retire_resume(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    by: str,
    ignored_nodes: frozenset[str] = frozenset(),
    archived: bool = False,
    max_time_ms: int = MAX_TIME_MS,
) -> RetirementResult:
    """
    Finish a retirement that was begun, by anybody; or put everything back where something is in the way by now.

    Raises:
        RetirementRefusedError: None was begun, or carries what is in the way.
        FenceRefusedError, StepFileError, StoreUnavailableError, StoreRejectedError: See `retire`.
    """
    floor = await _retirements(database, kind, by, max_time_ms).resume(ignored_nodes=ignored_nodes)
    return await _retired(database, kind, floor, archived=archived)


async def retire_undo(
    database: AnyDatabase, kind: Kind[Any], *, by: str, why: str = "", max_time_ms: int = MAX_TIME_MS
) -> RetirementResult:
    """
    Put everything back as it was before a retirement was begun; what is recorded as retired stays so.

    Raises:
        RetirementRefusedError: None was begun.
        FenceRefusedError: The fence cannot be taken back now; the same call goes on.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    before = (await ControlRecords(database).settled_view()).floor_of(kind.name)
    floor = await _retirements(database, kind, by, max_time_ms).undo(why=why)
    below = kind.floor if before.retiring is None else before.retiring.below
    return _result(kind, below, RetirementState.UNDONE, floor)


def _retirements(database: AnyDatabase, kind: Kind[Any], by: str, max_time_ms: int) -> Retirements:
    async def asked(now: datetime.datetime) -> Sequence[ClientVersion]:
        return await asked_versions(database, kind, now)

    looking = Looking(database, kind, asked=asked)
    return Retirements(database, kind, looking=looking, by=by, max_time_ms=max_time_ms)


async def _retired(database: AnyDatabase, kind: Kind[Any], floor: FloorState, *, archived: bool) -> RetirementResult:
    below = floor.floor or kind.floor
    views = await _views_below(database, kind, below)
    for view in views:
        await Views(database, kind.collection).drop(view)
    what = leftovers(kind, below)
    moved = archive(step_files(kind, below), kind=kind.name) if archived else ()
    state = RetirementState.RETIRED if floor.proved else RetirementState.UNPROVED
    return _result(kind, below, state, floor, leftovers=what, views=views, archived=tuple(map(str, moved)))


async def _views_below(database: AnyDatabase, kind: Kind[Any], below: int) -> tuple[str, ...]:
    found = await Views(database, kind.collection).found()
    ours = sorted(version for version, view in found.items() if version < below and view.is_ours)
    return tuple(view_name(kind.collection, version) for version in ours)


async def _is_retired(database: AnyDatabase, kind: Kind[Any], floor: FloorState, below: int, *, fenced: bool) -> bool:
    """
    Tell whether all that is asked for is recorded, of the collection that is there now, and its fence stands.
    """
    if floor.floor != below or floor.retiring is not None or floor.proof is None:
        return False
    found = await read_fence(database, kind.collection)
    if found.uuid != floor.home:
        return False
    strict = found.holds and found.validation.level == FenceLevel.STRICT
    stands = floor.proved and strict and found.bounds is not None and found.bounds.low >= below
    if not stands:
        return not (fenced or floor.proved)
    # What came past the fence is told, and not that no row stands below.
    counts = await count_rows(
        database, kind=kind.name, collection=kind.collection, field=kind.version_field, below=below
    )
    facts = RetirementFacts(kind.name, None, Fleet(), floor, tags=counts.tags)
    return not any(rows_below(below, facts))


def _require_version(kind: Kind[Any], below: int) -> None:
    lowest = max(kind.floor, 2)
    if not lowest <= below <= kind.latest:
        raise VersionRangeError(kind=kind.name, asked=below, floor=lowest, latest=kind.latest)


def _result(
    kind: Kind[Any],
    below: int,
    state: RetirementState,
    floor: FloorState,
    blockers: Sequence[Blocker] = (),
    **rest: Any,
) -> RetirementResult:
    shown = None
    if floor.proof is not None:
        shown = RetirementProof(**{name: getattr(floor.proof, name) for name in RetirementProof.model_fields})
    told = _told([facts_of(blocker) for blocker in blockers])
    return RetirementResult(
        kind=kind.name, below=below, state=state, floor=floor.floor, proof=shown, blockers=told, **rest
    )


async def refused(database: AnyDatabase, kind: Kind[Any], error: RetirementRefusedError) -> RetirementResult:
    """
    Return what an error tells, and what is recorded, for whoever reads results.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    floor = (await ControlRecords(database).settled_view()).floor_of(kind.name)
    told = _result(kind, error.below or 0, RetirementState.BLOCKED, floor)
    return told.model_copy(update={"blockers": _told(error.blockers)})


def _told(blockers: Sequence[Mapping[str, Any]]) -> tuple[RetirementBlocker, ...]:
    return tuple(RetirementBlocker(cause=each["cause"], words=each["words"], facts=each["facts"]) for each in blockers)
