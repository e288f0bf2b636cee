"""
Retiring versions, in an order that lets no row slip in and may be broken off anywhere.

    look            everything else that may be in the way; nothing is changed if anything is
    record          that a retirement was begun, with the validator as it was: rollouts and other retirements wait
    fence           the server refuses rows below from here on, once open transactions are over
    look            again, and count: nothing that was counted now can be undone by a row that comes later
    record          the floor, with who, when and the counts; void if a node joined or an operator was quicker

Whoever finds a retirement that was begun finishes it from the fence on, or puts everything back.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from docstore.core.blocker import Blocker, Cause, facts_of
from docstore.core.control_view import ControlView
from docstore.core.floor_state import FLOOR_PREFIX, FloorState, Proof, Retiring
from docstore.core.kind import Kind
from docstore.core.retirement_gates import Retirement, retirement_blockers
from docstore.errors import FenceRefusedError, RetirementRefusedError, StoreRejectedError
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.fence import MAX_TIME_MS
from docstore.retirement import events
from docstore.retirement.fence import Raised, RetirementFence
from docstore.retirement.looking import Look, Looking

#: How often the fence is raised again where somebody else changes the collection's rules at the same time.
_TRIES: Final = 5


class Retirements:
    """
    An operator's hands on the floor of one kind.

    Every change rests on one moment of the control records, and is void if a node joined or an operator was quicker.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        looking: Sees what may be in the way.
        by: Who asks, for the history.
        max_time_ms: How long the fence waits for open transactions, in milliseconds.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[Any],
        *,
        looking: Looking,
        by: str,
        max_time_ms: int = MAX_TIME_MS,
    ) -> None:
        self._kind = kind
        self._looking = looking
        self._by = by
        self._fence = RetirementFence(database, kind, max_time_ms=max_time_ms)
        self._control = ControlRecords(database)

    async def look(self, wish: Retirement) -> tuple[Look, list[Blocker]]:
        """
        Return what was seen, and everything that keeps a retirement from being begun; decides nothing.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        seen = await self._looking.look(wish.below)
        blockers = retirement_blockers(wish, seen.facts)
        if wish.fenced:
            blockers += await self._fence.obstacles(seen.facts.floor)
        return seen, blockers

    async def retire(self, wish: Retirement, *, why: str = "") -> FloorState:
        """
        Record that no row stands below a version, or change nothing at all.

        Raises:
            RetirementRefusedError: Carries everything that is in the way, before the fence or under it.
            FenceRefusedError: The fence cannot be raised; carries why, and the way out.
            StoreUnavailableError, StoreRejectedError: The database. After the first a retirement may be under way, to
                be finished or undone.
        """
        while True:
            seen, blockers = await self.look(wish)
            self._refuse(wish.below, blockers)
            before = await self._fence.validation() if wish.fenced else None
            retiring = Retiring(wish.below, seen.facts.now, self._by, why, wish.soak, wish.fenced, before)
            reason = f"a retirement below version {wish.below} was begun"
            if await self._change(seen.view, reason, why, retiring=retiring):
                events.begun(kind=self._kind.name, below=wish.below, fenced=wish.fenced)
                return await self._finish(retiring, wish)

    async def resume(self, *, ignored_nodes: frozenset[str] = frozenset()) -> FloorState:
        """
        Finish a retirement that was begun, by anybody.

        Raises:
            RetirementRefusedError: None was begun, it is being undone, or something is in the way by now: then
                everything was put back.
            FenceRefusedError, StoreUnavailableError, StoreRejectedError: See `retire`.
        """
        floor = (await self._control.settled_view()).floor_of(self._kind.name)
        retiring = floor.retiring
        if retiring is None or retiring.undoing:
            raise self._nothing_to("finishing", floor)
        wish = Retirement(retiring.below, retiring.soak, retiring.fenced, ignored_nodes)
        return await self._finish(retiring, wish)

    async def undo(self, *, why: str = "") -> FloorState:
        """
        Put everything back as it was before a retirement was begun; what is recorded as retired stays so.

        Raises:
            RetirementRefusedError: None was begun.
            FenceRefusedError: The fence cannot be taken back now; the same call goes on.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        floor = (await self._control.settled_view()).floor_of(self._kind.name)
        if floor.retiring is None:
            raise self._nothing_to("undoing", floor)
        return await self._undo(floor.retiring, why)

    async def _finish(self, retiring: Retiring, wish: Retirement) -> FloorState:
        try:
            return await self._under_the_fence(retiring, wish)
        except (RetirementRefusedError, FenceRefusedError, StoreRejectedError) as error:
            if not _is_another_operator(error):
                await self._undo(retiring, f"{type(error).__name__}: it was refused under the fence")
            raise

    async def _under_the_fence(self, retiring: Retiring, wish: Retirement) -> FloorState:
        raised: Raised | None = None
        tries = 0
        while tries < _TRIES:
            if retiring.fenced:
                raised = await self._raise(retiring, wish)
            seen = await self._looking.look(wish.below)
            await self._require(retiring, seen.view.floor_of(self._kind.name))
            self._refuse(wish.below, retirement_blockers(wish, seen.facts, begun=True))
            home = await self._fence.home(raised)
            if raised is not None and home is None:
                # Somebody changed the collection's rules meanwhile, or a change that was under way came late.
                tries += 1
                continue
            changes: dict[str, Any] = {"floor": wish.below, "proof": self._proof(retiring, seen), "retiring": None}
            if raised is not None:
                changes |= {"fence": raised.record}
            reason = f"the floor was recorded: no row stands below version {wish.below}"
            if not retiring.fenced:
                reason += ", as far as was counted without a fence"
            if await self._change(seen.view, reason, retiring.why, home=home, **changes):
                events.recorded(
                    kind=self._kind.name, below=wish.below, rows=seen.coverage.total, fenced=retiring.fenced
                )
                return (await self._control.settled_view()).floor_of(self._kind.name)
        raise FenceRefusedError(
            kind=self._kind.name,
            reason=f"somebody else changes the rules of {self._kind.collection} all the time",
            advice="the same command again",
        )

    async def _raise(self, retiring: Retiring, wish: Retirement) -> Raised:
        """
        Raise the fence, if the retirement is still on. Where rows are in its way, they are what is told.
        """
        view = await self._control.settled_view()
        await self._require(retiring, view.floor_of(self._kind.name))
        try:
            return await self._fence.put_up(view, retiring)
        except FenceRefusedError:
            seen = await self._looking.look(wish.below)
            self._refuse(wish.below, retirement_blockers(wish, seen.facts, begun=True))
            raise

    async def _undo(self, retiring: Retiring, why: str) -> FloorState:
        while True:
            view = await self._control.settled_view()
            floor = view.floor_of(self._kind.name)
            now = floor.retiring
            if now is None or now.since != retiring.since:
                return floor
            if not now.undoing:
                # Nobody who still works on it can record the floor from here on, with the fence taken away.
                reason = f"the retirement below version {now.below} is put back"
                await self._change(view, reason, why, retiring=replace(now, undoing=True))
                continue
            await self._fence.put_back(now)
            reason = f"the retirement below version {now.below} was put back"
            if await self._change(view, reason, why, retiring=None):
                events.undone(kind=self._kind.name, below=now.below)

    async def _require(self, retiring: Retiring, floor: FloorState) -> None:
        """
        Go on only if the retirement is still the one that is recorded; what a late fence of it has left is removed.
        """
        now = floor.retiring
        if now is not None and now.since == retiring.since and not now.undoing:
            return
        if now is None and (floor.floor or 0) < retiring.below:
            await self._fence.put_back(retiring)
        words = f"another operator was quicker: this retirement of {self._kind.name} was finished or undone"
        self._refuse(retiring.below, [Blocker(Cause.OTHER_OPERATOR, self._kind.name, words)])

    def _proof(self, retiring: Retiring, seen: Look) -> Proof:
        return Proof(
            by=self._by,
            at=seen.facts.now,
            rows=seen.coverage.total,
            versions={str(count.version): count.rows for count in seen.coverage.versions},
            clear_since=seen.facts.clear_since,
            soak=retiring.soak,
            fenced=retiring.fenced,
            why=retiring.why,
        )

    async def _change(self, view: ControlView, reason: str, why: str, **changes: Any) -> bool:
        name = self._kind.name
        after = view.floor_of(name).after(view.epoch + 1, **changes)
        entry = {
            "about": name,
            "kind": name,
            "before": None,
            "after": None,
            "reason": reason,
            "by": self._by,
            "why": why,
        }
        return await self._control.change(view, entry=entry, record=(FLOOR_PREFIX + name, after.stored()))

    def _refuse(self, below: int | None, blockers: Sequence[Blocker], *, asked: str | None = None) -> None:
        if blockers:
            raise RetirementRefusedError(
                kind=self._kind.name,
                below=below,
                asked=asked or f"the retirement below version {below}",
                blockers=[facts_of(blocker) for blocker in blockers],
            )

    def _nothing_to(self, asked: str, floor: FloorState) -> RetirementRefusedError:
        words = f"no retirement of {self._kind.name} is under way"
        if floor.retiring is not None:
            words = f"the retirement of {self._kind.name} is being undone"
        blocker = Blocker(Cause.NOT_RETIRING, self._kind.name, words, {"floor": floor.floor})
        return RetirementRefusedError(
            kind=self._kind.name, below=None, asked=f"{asked} the retirement", blockers=[facts_of(blocker)]
        )


def _is_another_operator(error: Exception) -> bool:
    return isinstance(error, RetirementRefusedError) and any(
        blocker["cause"] == Cause.OTHER_OPERATOR.value for blocker in error.blockers
    )
