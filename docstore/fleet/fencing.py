"""
The fence of a kind as it was recorded: put up, raised before a rollout needs it, lowered after a rollback, taken away.
"""

from dataclasses import replace
from typing import Any

from docstore.core.control_view import ControlView
from docstore.core.fence import FenceBounds
from docstore.core.fence_level import FenceLevel
from docstore.core.fence_state import FenceState, fence_state, highest_let_in, lowest_let_in
from docstore.core.floor_state import FLOOR_PREFIX, FenceRecord, FloorState, Validation
from docstore.core.kind import Kind
from docstore.core.rollout_state import OPEN
from docstore.core.write_version import StoredRows
from docstore.errors import FenceRefusedError, StoreRejectedError
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.fence import MAX_TIME_MS, level_beside, own_rules, raise_fence, read_fence, remove_fence
from docstore.mongo.row_ends import row_ends


class Fencing:
    """
    An operator's, and a rollout's, hands on the fence of one kind.

    The record says how the fence is to be, and is changed first, as everything in the control records is: so whoever
    sees that a version may be stored has seen a record that lets it in. The collection is then made to agree with the
    record, and looked at once more, because a change of it that was under way may arrive late. May be repeated, by
    anybody; nothing here runs while a retirement is under way, which has the fence to itself.

    Args:
        database: Where the records and the rows are.
        kind: Whose fence.
        by: Who asks, for the history.
    """

    def __init__(self, database: AnyDatabase, kind: Kind[Any], *, by: str) -> None:
        self._database = database
        self._kind = kind
        self._by = by
        self._control = ControlRecords(database)

    async def put_up(self, *, level: FenceLevel | None = None, max_time_ms: int = MAX_TIME_MS) -> FloorState:
        """
        Have the server refuse rows below the floor and above what may be written, and record it.

        Args:
            level: Strict or moderate, in so many words; by default what does no harm.
            max_time_ms: How long to wait for open transactions.

        Raises:
            FenceRefusedError: See `raise_fence`; or a retirement is under way. Nothing is recorded then.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        while True:
            view = await self._control.settled_view()
            before = self._unless_retiring(view)
            found = await read_fence(self._database, self._kind.collection)
            own = own_rules(found, None if before.fence is None else before.fence.own)
            bounds = self.wanted(view, await self.stored_rows())
            chosen = await self._level(bounds, own, level, proved=before.proved)
            fence = FenceRecord(bounds.low, bounds.high, chosen.value, own)
            proof = before.proof
            if proof is not None and own.validator and chosen is FenceLevel.MODERATE:
                # Rows that break the users' own rules may be taken below the floor.
                proof = replace(proof, fenced=False)
            same = (before.fence, before.proof) == (fence, proof)
            if same or await self._record(view, before, "the fence was put up", fence=fence, proof=proof):
                break
        try:
            await self.settle(max_time_ms=max_time_ms)
        except (FenceRefusedError, StoreRejectedError):
            await self._unrecord(fence, before.fence)
            raise
        return await self._at_home()

    async def make_room(self, view: ControlView, version: int, *, max_time_ms: int = MAX_TIME_MS) -> bool:
        """
        Let rows of a version in before anybody stores one; tell whether the records have to be read anew.

        Raises:
            FenceRefusedError: See `raise_fence`.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        floor = view.floor_of(self._kind.name)
        if floor.fence is None or floor.retiring is not None:
            return False
        if floor.fence.high < version:
            fence = replace(floor.fence, high=version)
            await self._record(view, floor, f"the fence was raised to let version {version} in", fence=fence)
            return True
        await self.settle(max_time_ms=max_time_ms)
        return False

    async def lower(self, *, max_time_ms: int = MAX_TIME_MS) -> bool:
        """
        Shut out versions that nobody may store any more, and at which no row stands; tell whether there were any.

        Does nothing while a rollout is open, or a node may not have heard of its end.

        Raises:
            FenceRefusedError: See `raise_fence`.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        view = await self._control.settled_view()
        floor, control = view.floor_of(self._kind.name), view.controls.get(self._kind.name)
        if floor.fence is None or floor.retiring is not None or control is None:
            return False
        if control.state in OPEN or control.unsettled is not None:
            return False
        high = highest_let_in(control, await self.stored_rows(), latest=self._kind.latest)
        if floor.fence.high <= high:
            return False
        fence = replace(floor.fence, high=high)
        if not await self._record(view, floor, f"the fence was lowered to version {high}", fence=fence):
            return False
        await self.settle(max_time_ms=max_time_ms)
        return True

    async def take_away(self, *, max_time_ms: int = MAX_TIME_MS) -> bool:
        """
        Take the fence away, and leave the users' own rules; tell whether there was one, recorded or not.

        A recorded floor stays, and counts as unproved from then on.

        Raises:
            FenceRefusedError: See `raise_fence`; or a retirement is under way.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        was_there = False
        while True:
            view = await self._control.settled_view()
            floor = self._unless_retiring(view)
            own = None if floor.fence is None else floor.fence.own
            # The collection first: a fence that nobody knows of would be in the way of the next rollout.
            removed = await remove_fence(
                self._database, self._kind.collection, kind=self._kind.name, was=own, max_time_ms=max_time_ms
            )
            was_there = was_there or removed or floor.fence is not None
            if floor.fence is None and not removed:
                return was_there
            proof = None if floor.proof is None else replace(floor.proof, fenced=False)
            if floor.fence is not None:
                await self._record(view, floor, "the fence was taken away", fence=None, proof=proof)

    async def settle(self, *, max_time_ms: int = MAX_TIME_MS) -> None:
        """
        Make the collection agree with the record.

        Raises:
            FenceRefusedError: See `raise_fence`.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        kind = self._kind
        while True:
            floor = (await self._control.settled_view()).floor_of(kind.name)
            if floor.fence is None or floor.retiring is not None:
                return
            found = await read_fence(self._database, kind.collection)
            state = fence_state(kind.name, kind.version_field, floor.fence, found.validation, found.parts)
            if state is FenceState.STANDS:
                return
            await raise_fence(
                self._database,
                kind.collection,
                FenceBounds(kind.name, kind.version_field, floor.fence.low, floor.fence.high),
                level=FenceLevel(floor.fence.level),
                was=floor.fence.own,
                max_time_ms=max_time_ms,
            )

    async def stored_rows(self) -> StoredRows:
        """
        Return where the rows of the kind stand, at its ends.
        """
        kind = self._kind
        return await row_ends(
            self._database, collection=kind.collection, field=kind.version_field, baseline=kind.baseline
        )

    def wanted(self, view: ControlView, rows: StoredRows) -> FenceBounds:
        """
        Return what a fence is to let in now.
        """
        kind = self._kind
        low = lowest_let_in(view.floor_of(kind.name), baseline=kind.baseline)
        high = highest_let_in(view.controls.get(kind.name), rows, latest=kind.latest)
        return FenceBounds(kind.name, kind.version_field, low, high)

    async def _level(
        self, bounds: FenceBounds, own: Validation, asked: FenceLevel | None, *, proved: bool
    ) -> FenceLevel:
        """
        Return the level at which the fence does no harm, neither to the users' own rules nor to a floor that is proved.
        """
        collection = self._kind.collection
        chosen = await level_beside(self._database, collection, bounds, own, asked)
        if proved and asked is None and own.validator and chosen is FenceLevel.MODERATE:
            # Rows that break those rules could be taken below the floor: only for whoever says so.
            return await level_beside(self._database, collection, bounds, own, FenceLevel.STRICT)
        return chosen

    async def _at_home(self) -> FloorState:
        """
        Record which collection has the fence; it may have been created with it.

        Where it is another one than before, nobody has proved the floor for its rows: it counts as unproved then.
        """
        while True:
            view = await self._control.settled_view()
            floor = view.floor_of(self._kind.name)
            if floor.fence is None:
                return floor
            found = await read_fence(self._database, self._kind.collection)
            if found.uuid in {None, floor.home}:
                return floor
            proof = floor.proof
            if proof is not None and floor.home is not None:
                proof = replace(proof, fenced=False)
            if await self._record(view, floor, "the fence stands", home=found.uuid, proof=proof):
                return floor.after(view.epoch + 1, home=found.uuid, proof=proof)

    async def _unrecord(self, fence: FenceRecord, before: FenceRecord | None) -> None:
        while True:
            view = await self._control.settled_view()
            floor = view.floor_of(self._kind.name)
            if floor.fence != fence or fence == before:
                return
            if await self._record(view, floor, "the fence could not be put up", fence=before):
                return

    async def _record(self, view: ControlView, floor: FloorState, reason: str, **changes: Any) -> bool:
        after = floor.after(view.epoch + 1, **changes)
        entry = {
            "about": floor.kind,
            "kind": floor.kind,
            "before": None,
            "after": None,
            "reason": reason,
            "by": self._by,
            "why": "",
        }
        return await self._control.change(view, entry=entry, record=(FLOOR_PREFIX + floor.kind, after.stored()))

    def _unless_retiring(self, view: ControlView) -> FloorState:
        floor = view.floor_of(self._kind.name)
        if floor.retiring is not None:
            raise FenceRefusedError(
                kind=self._kind.name,
                reason=f"a retirement below {floor.retiring.below} is under way",
                advice=f"docstore retire {self._kind.name} --resume ends it, --undo puts everything back",
            )
        return floor
