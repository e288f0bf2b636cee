"""
The fence of a kind: shown, put up, taken away.
"""

import math
from collections.abc import Sequence
from typing import Any

from docstore.commands.fence_report import FenceLimits, FenceReport, TagsOutside
from docstore.core.coverage import TagCount
from docstore.core.fence import FenceBounds
from docstore.core.fence_level import FenceLevel
from docstore.core.fence_state import FenceState, fence_state
from docstore.core.floor_state import FloorState
from docstore.core.kind import Kind
from docstore.errors import FenceRefusedError
from docstore.fleet.fencing import Fencing
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.counting import count_rows
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.fence import MAX_TIME_MS, CollectionFence, read_fence


async def fence_show(database: AnyDatabase, kind: Kind[Any]) -> FenceReport:
    """
    Tell how the fence of a kind stands, how it should, and which rows it does not let in; reads only.

    Counts the rows by their tags: reads the (tag, `_id`) index alone where it exists, else every row.

    Raises:
        FenceRefusedError: On mongomock.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        raise FenceRefusedError(kind=kind.name, reason="mongomock validates nothing")
    view = await ControlRecords(database).view()
    floor = view.floor_of(kind.name)
    found = await read_fence(database, kind.collection)
    fencing = Fencing(database, kind, by="")
    wanted = fencing.wanted(view, await fencing.stored_rows())
    counts = await count_rows(database, kind=kind.name, collection=kind.collection, field=kind.version_field)
    outside = _outside(counts.tags, found.bounds or wanted)
    state = fence_state(kind.name, kind.version_field, floor.fence, found.validation, found.parts)
    return FenceReport(
        kind=kind.name,
        collection=kind.collection,
        field=kind.version_field,
        state=state,
        found=_limits(found.bounds, found.validation.level),
        recorded=None
        if floor.fence is None
        else FenceLimits(low=floor.fence.low, high=floor.fence.high, level=floor.fence.level),
        wanted=FenceLimits(low=wanted.low, high=wanted.high),
        validation_level=found.validation.level,
        validation_action=found.validation.action,
        own_validator=None if found.parts.own is None else dict(found.parts.own),
        outside=outside,
        remarks=tuple(_remarks(kind, floor, found, wanted, state=state, outside=sum(tags.rows for tags in outside))),
    )


async def fence_apply(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    by: str,
    level: FenceLevel | None = None,
    max_time_ms: int = MAX_TIME_MS,
) -> FenceReport:
    """
    Have the server refuse rows of the kind below its floor and above what may be written; may be repeated.

    The minimum is the recorded floor, or the kind's baseline where none is recorded; the maximum the highest version
    that a node may store, or at which a row stands. Rollouts raise it and lower it again. Users' own rules stay.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        by: Who asks, for the history.
        level: Strict or moderate, in so many words; by default strict, or moderate while rows are outside.
        max_time_ms: How long to wait for open transactions; all other calls wait meanwhile.

    Raises:
        FenceRefusedError: It cannot stand beside the users' own rules; open transactions did not end in time; a
            retirement is under way; or this user may not do it (then it carries the command for who may).
        StoreUnavailableError, StoreRejectedError: The database.
    """
    await Fencing(database, kind, by=by).put_up(level=level, max_time_ms=max_time_ms)
    return await fence_show(database, kind)


async def fence_remove(
    database: AnyDatabase, kind: Kind[Any], *, by: str, max_time_ms: int = MAX_TIME_MS
) -> FenceReport:
    """
    Take the fence away, and leave the users' own rules with the level and the action that they had; may be repeated.

    A recorded floor stays, and counts as unproved from then on.

    Raises:
        FenceRefusedError: See `fence_apply`.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    await Fencing(database, kind, by=by).take_away(max_time_ms=max_time_ms)
    return await fence_show(database, kind)


def _outside(tags: Sequence[TagCount], bounds: FenceBounds) -> tuple[TagsOutside, ...]:
    return tuple(
        TagsOutside(type=each.type, value=_number(each.value), rows=each.rows) for each in bounds.outside(tags)
    )


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _limits(bounds: FenceBounds | None, level: str) -> FenceLimits | None:
    return None if bounds is None else FenceLimits(low=bounds.low, high=bounds.high, level=level)


def _remarks(
    kind: Kind[Any], floor: FloorState, found: CollectionFence, wanted: FenceBounds, *, state: FenceState, outside: int
) -> list[str]:
    again = f"docstore fence apply {kind.name}"
    said = {
        FenceState.MISSING: f"the fence that was recorded is gone: {again} puts it up",
        FenceState.ALTERED: f"the fence was changed by hand, and is not relied on: {again} mends it",
        FenceState.DIFFERENT: f"the fence is not the one that was recorded: {again} mends it",
        FenceState.UNRECORDED: f"nobody knows of this fence, so no rollout raises it: {again} records it, or docstore "
        f"fence remove {kind.name}",
    }
    remarks = [said[state]] if state in said else []
    if floor.retiring is not None:
        remarks.append(
            f"a retirement below {floor.retiring.below} is under way: docstore retire {kind.name} --resume, or --undo"
        )
    elif floor.fence is not None and (floor.fence.low, floor.fence.high) != (wanted.low, wanted.high):
        remarks.append(f"it was recorded for versions {floor.fence.low} to {floor.fence.high}: {again} renews it")
    if floor.floor is not None and not floor.proved and floor.proof is not None:
        remarks.append(f"the floor {floor.floor} is unproved: nothing kept rows below it out")
    if found.bounds is not None and found.validation.level == FenceLevel.MODERATE:
        rows = "rows outside it" if outside else "rows that do not meet the collection's own rules"
        remarks.append(
            f"it is moderate: {rows} may be changed as they are; {again} makes it strict when there are none left"
        )
    elif found.bounds is not None and outside:
        remarks.append(f"the next change of the rows outside it is refused: bring them in, or {again} --moderate")
    return remarks
