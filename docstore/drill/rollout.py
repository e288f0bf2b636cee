"""
The moves of a drill, made by the commands that operators use, and waited for to their ends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from docstore import commands
from docstore.core.blocker import Cause
from docstore.core.kind import Kind
from docstore.core.rollout_state import RolloutState
from docstore.core.run_state import RunState
from docstore.core.write_version import VersionRange
from docstore.drill.plan import Move
from docstore.errors import DrillBrokenError, RolloutRefusedError
from docstore.fleet.rollout_status import RolloutStatus
from docstore.fleet.status import Life
from docstore.mongo.driver import AnyDatabase

#: Who moves the rollout, for the history.
BY: Final = "docstore drill"
#: How long rows may take to be brought to where they belong, in seconds, without any progress.
_PATIENCE: Final = 120.0
_LOOK: Final = 0.2
#: What stands in the way of a move while nodes are not heard of.
_UNHEARD: Final = {Cause.NO_LIVE_NODE.value, Cause.UNCLEAN_DEATH.value}


class DrillRollout:
    """
    Moves the rollout of one kind on.

    Args:
        database: The drill's own.
        kind: The kind of the new release.
        percent: The share of the canary.
        phase: Tells what the drill is about, for errors.
    """

    def __init__(self, database: AnyDatabase, kind: Kind[Any], *, percent: float, phase: Callable[[], str]) -> None:
        self._database = database
        self._kind = kind
        self._percent = percent
        self._phase = phase

    async def make(self, move: Move) -> RolloutStatus:
        """
        Make a move, and return how the rollout stands when it has come to its end.

        Raises:
            RolloutRefusedError: A gate said no; carries everything that is in the way.
            DrillBrokenError: Rows stay behind; carries at which step and path.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        database, kind = self._database, self._kind
        match move:
            case Move.BEGIN:
                return await self._status()
            case Move.CANARY:
                return await self._once_heard_of(
                    lambda: commands.rollout_canary(database, kind, self._percent, by=BY, create_indexes=True)
                )
            case Move.ADVANCE:
                return await self._once_heard_of(
                    lambda: commands.rollout_advance(database, kind, by=BY, create_indexes=True)
                )
            case Move.ROLL_BACK:
                await self._once_heard_of(lambda: commands.rollout_rollback(database, kind, by=BY))
                return await self._until(RolloutState.STABLE)
            case Move.BACKFILL:
                await commands.backfill_start(database, kind, by=BY)
                return await self._until(RolloutState.COMPLETE)

    async def readable(self) -> VersionRange:
        """
        Return the versions that every live node reads of the kind.
        """
        ranges = await self._ranges()
        return VersionRange(max(low for low, _ in ranges), min(high for _, high in ranges))

    async def all_read(self, version: int, *, within: float) -> bool:
        """
        Tell whether every live node reads a version, or comes to read it within so many seconds.

        A node whose code ends below learns of published steps when it hears that somebody has joined.
        """
        end = asyncio.get_running_loop().time() + within
        while not (await self.readable()).holds(version):
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(_LOOK)
        return True

    async def _once_heard_of(self, ask: Callable[[], Awaitable[RolloutStatus]]) -> RolloutStatus:
        """
        Ask again as long as only nodes stand in the way that were not heard of in time.

        They are the drill's own, on a machine that was asleep or too busy, and come back; whether a process has ended
        is seen elsewhere.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _PATIENCE
        while True:
            try:
                return await ask()
            except RolloutRefusedError as error:
                if not {blocker["cause"] for blocker in error.blockers} <= _UNHEARD or loop.time() > end:
                    raise
            await asyncio.sleep(_LOOK)

    async def _ranges(self) -> list[tuple[int, int]]:
        """
        Return what each live node reads; a machine that stood still finds all of them silent, until they beat again.
        """
        end = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            ranges = [
                kind.reads
                for node in (await commands.fleet(self._database)).nodes
                if node.life is Life.ALIVE
                for kind in node.kinds
                if kind.kind == self._kind.name
            ]
            if ranges:
                return ranges
            if asyncio.get_running_loop().time() > end:
                reason = "no node of it is alive"
                raise DrillBrokenError(kind=self._kind.name, phase=self._phase(), reason=reason)
            await asyncio.sleep(_LOOK)

    async def _until(self, state: RolloutState) -> RolloutStatus:
        loop = asyncio.get_running_loop()
        since, before = loop.time(), None
        while (status := await self._status()).state is not state:
            run = status.run
            if status.stuck or (run is not None and run.state is RunState.FAILED):
                raise self._broken(status)
            progress = (status.state, run)
            if progress != before:
                since, before = loop.time(), progress
            if loop.time() - since > _PATIENCE:
                raise self._broken(status)
            await asyncio.sleep(_LOOK)
        return status

    async def _status(self) -> RolloutStatus:
        return (await commands.rollout_status(self._database, [self._kind]))[0]

    def _broken(self, status: RolloutStatus) -> DrillBrokenError:
        if status.stuck:
            reason = "; ".join(
                f"{each.rows} rows stay at version {each.version}: {each.error} in step {each.step}"
                + (f" at {each.path}" if each.path else "")
                for each in status.stuck
            )
        else:
            run = "no run" if status.run is None else f"run {status.run.state}, {status.run.remaining} rows left"
            reason = f"the rollout stays {status.state} ({run})"
        return DrillBrokenError(kind=self._kind.name, phase=self._phase(), reason=reason)
