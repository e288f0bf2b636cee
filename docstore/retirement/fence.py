"""
The fence of a retirement: whether it could be raised, raising it, and putting back what was there before.
"""

import uuid
from dataclasses import dataclass, replace
from typing import Any

from docstore.core.blocker import Blocker, Cause
from docstore.core.bson_values import identical
from docstore.core.control_view import ControlView
from docstore.core.fence import FenceBounds, merge, split
from docstore.core.fence_level import FenceLevel, Obstacle, RowsAgainst, fence_level
from docstore.core.fence_state import highest_let_in
from docstore.core.floor_state import FenceRecord, FloorState, Retiring, Validation
from docstore.core.kind import Kind
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.fence import own_rules, put_back, raise_fence, read_fence, rows_against
from docstore.mongo.row_ends import row_ends


@dataclass(frozen=True, slots=True)
class Raised:
    """
    The fence that was raised, and how the users' own rules were validated without it.
    """

    bounds: FenceBounds
    own: Validation

    @property
    def record(self) -> FenceRecord:
        """
        What is recorded of it.
        """
        return FenceRecord(self.bounds.low, self.bounds.high, FenceLevel.STRICT.value, self.own)


class RetirementFence:
    """
    The rules of the collection of one kind, as a retirement changes them.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        max_time_ms: How long a change waits for open transactions, in milliseconds.
    """

    def __init__(self, database: AnyDatabase, kind: Kind[Any], *, max_time_ms: int) -> None:
        self._database = database
        self._kind = kind
        self._max_time_ms = max_time_ms

    async def validation(self) -> Validation:
        """
        Return how the collection is validated, a fence included.
        """
        return (await read_fence(self._database, self._kind.collection)).validation

    async def home(self, raised: Raised | None) -> uuid.UUID | None:
        """
        Return what tells the collection from another one of its name; None where there is none.

        None too where a fence was raised, and another one stands before the collection, or none.
        """
        found = await read_fence(self._database, self._kind.collection)
        strict = found.holds and found.validation.level == FenceLevel.STRICT
        stands = raised is None or (strict and found.bounds == raised.bounds)
        return found.uuid if stands else None

    async def obstacles(self, floor: FloorState) -> list[Blocker]:
        """
        Return what of the users' own rules a strict fence would break; rows outside the fence are told of elsewhere.
        """
        collection = self._kind.collection
        found = await read_fence(self._database, collection)
        own = own_rules(found, None if floor.fence is None else floor.fence.own)
        against = 0
        if own.validator and own.level == FenceLevel.MODERATE:
            against = await rows_against(self._database, collection, own.validator)
        level = fence_level(own, RowsAgainst(0, against), asked=FenceLevel.STRICT, name=collection)
        if not isinstance(level, Obstacle):
            return []
        return [Blocker(Cause.FENCE, self._kind.name, level.reason, {"advice": level.advice})]

    async def put_up(self, view: ControlView, retiring: Retiring) -> Raised:
        """
        Have the server refuse rows below the floor that is to be, and above what may be stored; may be repeated.

        Raises:
            FenceRefusedError: See `raise_fence`.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        kind = self._kind
        rows = await row_ends(
            self._database, collection=kind.collection, field=kind.version_field, baseline=kind.baseline
        )
        high = highest_let_in(view.controls.get(kind.name), rows, latest=kind.latest)
        bounds = FenceBounds(kind.name, kind.version_field, retiring.below, high)
        recorded = view.floor_of(kind.name).fence
        raised = await raise_fence(
            self._database,
            kind.collection,
            bounds,
            level=FenceLevel.STRICT,
            # Where a process raised it that died, the collection does not tell any more what was before.
            was=retiring.before if recorded is None else recorded.own,
            max_time_ms=self._max_time_ms,
        )
        return Raised(bounds, raised.own)

    async def put_back(self, retiring: Retiring) -> None:
        """
        Have the collection validated as before a retirement, with the users' own rules as they are now.

        Raises:
            FenceRefusedError: See `raise_fence`.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        if retiring.before is None:
            return
        found = await read_fence(self._database, self._kind.collection)
        before, parts = retiring.before, split(retiring.before.validator)
        if not identical(found.parts.own or {}, parts.own or {}):
            own = found.parts.own
            before = replace(before, validator=own if parts.bounds is None else merge(own, parts.bounds))
        await put_back(
            self._database, self._kind.collection, before, kind=self._kind.name, max_time_ms=self._max_time_ms
        )
