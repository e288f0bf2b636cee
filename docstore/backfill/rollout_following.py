"""
Rollouts keep up with the runs: a backfill that begins, one that ended, rows that have to go back.
"""

import asyncio
import datetime
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.looking import count_aside, counted
from docstore.backfill.operating import Operating
from docstore.core.blocker import Cause
from docstore.core.coverage import Coverage
from docstore.core.direction import Direction
from docstore.core.fence_state import is_too_high
from docstore.core.fleet_facts import Fleet
from docstore.core.kind import Kind
from docstore.core.rollout_run import Following, following, works_against
from docstore.core.rollout_state import OPEN, RolloutState
from docstore.core.run_record import RunOptions, RunRecord
from docstore.core.run_scope import RunScope
from docstore.core.run_state import RunState
from docstore.core.write_version import ControlState, StoredRows
from docstore.errors import (
    BackfillRefusedError,
    FenceRefusedError,
    IllegalTransitionError,
    RecordFormatError,
    RolloutRefusedError,
    RunNotFoundError,
    StoreRejectedError,
)
from docstore.fleet.fencing import Fencing
from docstore.fleet.operating import Rollouts
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.row_ends import row_ends
from docstore.mongo.runs import Runs

#: How long a rollout that could not be ended is left alone, in seconds: at first, and at most.
_REST: Final = 1.0
_LONGEST_REST: Final = 60.0
#: How long to wait until every node has acknowledged a change, in seconds; they hear of it within two.
SETTLING: Final = 3.0
#: How often to look while somebody waits, in seconds.
_LOOK: Final = 0.1
#: In how many of the newest entries of the history the last change of the state is found.
_ENTRIES: Final = 20


class RolloutFollowing:
    """
    Brings the rollouts of kinds up to what their runs and rows say.

    Any number of processes may do so at once, and any of them may die: what is to be done next is read from the
    records each time, and every change is a compare-and-set.

    Args:
        database: Where the records and the rows are.
        by: Who does it, for the history.
        now: The clock that counts are dated with.
    """

    def __init__(self, database: AnyDatabase, *, by: str, now: Callable[[], datetime.datetime]) -> None:
        self._database = database
        self._by = by
        self._now = now
        self._control = ControlRecords(database)
        self._nodes = NodeRecords(database)
        self._runs = Runs(database)
        self._rollouts = Rollouts(database, by=by)
        #: Control states of which nothing is expected for a while: until when, and how long it was (in seconds).
        self._resting: dict[tuple[str, int, str], tuple[float, float]] = {}
        #: Kinds that are left to another release, and the records that say so.
        self._left: set[tuple[str, str]] = set()

    async def look(self, kinds: Iterable[Kind[Any]]) -> bool:
        """
        Do what is to be done next; tell whether something is left that will be possible within seconds.

        A kind whose records have a format that this release does not know is left to processes of the release that
        does.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        kinds = tuple(kinds)
        try:
            view = await self._control.view()
        except RecordFormatError as error:
            for kind in kinds:
                self._leave(kind.name, error)
            return False
        soon = False
        for kind in kinds:
            control = view.controls.get(kind.name)
            if control is None:
                continue
            try:
                if control.state in OPEN:
                    soon = await self._look_at(kind, control) or soon
                elif is_too_high(view.floor_of(kind.name), control):
                    await self._lower_the_fence(kind, control)
            except RecordFormatError as error:
                self._leave(kind.name, error)
        return soon

    async def wait(self, kind: Kind[Any], *, seconds: float) -> None:
        """
        Look at a kind until nothing is left that will be possible at once, but not for longer than this.
        """
        end = asyncio.get_running_loop().time() + seconds
        soon = await self.look([kind])
        while soon and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(_LOOK)
            soon = await self.look([kind])

    async def holds_back(self, run: RunRecord) -> bool:
        """
        Tell whether a run that takes rows down must not begin yet, because a node may still store the version above.

        An update of many rows that is under way there would miss those that are brought down meanwhile.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        if run.direction is not Direction.DOWN or run.state is not RunState.ENQUEUED:
            return False
        try:
            control = (await self._control.view()).controls.get(run.kind)
        except RecordFormatError as error:
            self._leave(run.kind, error)
            return False
        if control is None or control.state is not RolloutState.ROLLING_BACK:
            return False
        return not await self._settled(control)

    async def _look_at(self, kind: Kind[Any], control: ControlState) -> bool:
        await self._cancel_against(kind.name, control)
        last = await self._runs.last(kind.name)
        back = control.state is RolloutState.ROLLING_BACK
        step = following(control, last, since=await self._since(control) if back else None)
        try:
            match step:
                case Following.BEGIN:
                    await self._rollouts.begin_backfill(kind.name, only_epoch=control.epoch)
                case Following.STOP if last is not None:
                    why = f"the run is {last.state}"
                    await self._rollouts.stop_backfill(kind.name, only_epoch=control.epoch, why=why)
                case Following.CONCLUDE | Following.GO_BACK:
                    mark = (kind.name, control.epoch, "" if last is None else last.id)
                    if not self._rests(mark):
                        return await self._conclude(kind, control, mark, ask=step is Following.GO_BACK)
        except (RolloutRefusedError, IllegalTransitionError):
            # Others did the same, or an operator changed his mind: the next look sees it.
            return True
        # The run that brought rows up ends when its last batch does.
        return back and last is not None and last.state is RunState.CANCELLING

    async def _conclude(self, kind: Kind[Any], control: ControlState, mark: tuple[str, int, str], *, ask: bool) -> bool:
        back = control.state is RolloutState.ROLLING_BACK
        # Cheap, and nearly always enough to know that it is too early.
        if _are_left(await self._row_ends(kind), control):
            if back and ask:
                await self._ask_for_the_way_back(kind, control, mark)
            else:
                self._rest(mark)
            return False
        if not await self._settled(control):
            return True
        # Counted when nobody stores what an earlier state said any more, so that nothing comes after the count.
        coverage = await counted(self._database, kind, self._now)
        scope = RunScope(kind, control.write_version, Direction.DOWN if back else Direction.UP)
        aside = await count_aside(self._database, scope)
        try:
            ended = await self._rollouts.complete(
                kind.name,
                ends_of(kind, coverage),
                quarantined=max(aside, scope.unreadable(coverage)),
                only_epoch=control.epoch,
            )
        except RolloutRefusedError as error:
            causes = {blocker["cause"] for blocker in error.blockers}
            if causes == {Cause.NOT_ACKNOWLEDGED.value}:
                return True
            self._rest(mark)
            return False
        events.rollout_ended(kind=kind.name, state=ended.state.value, version=ended.write_version)
        if is_too_high((await self._control.view()).floor_of(kind.name), ended):
            await self._lower_the_fence(kind, ended)
        return False

    async def _lower_the_fence(self, kind: Kind[Any], control: ControlState) -> None:
        """
        Shut out the version that was rolled back; whoever looks next does it where this process dies before.
        """
        mark = (kind.name, control.epoch, "fence")
        if self._rests(mark):
            return
        self._rest(mark)
        try:
            await Fencing(self._database, kind, by=self._by).lower()
        except (FenceRefusedError, StoreRejectedError) as error:
            # It lets in what nobody stores: no harm, until somebody may change it.
            events.fence_left_high(kind=kind.name, reason=error.reason)

    async def _since(self, control: ControlState) -> datetime.datetime | None:
        """
        Return when the control state came to be, by the server's clock.
        """
        entries = await self._control.history(kind=control.kind, limit=_ENTRIES)
        return next((entry["at"] for entry in reversed(entries) if entry["after"] == control.state.value), None)

    async def _ask_for_the_way_back(self, kind: Kind[Any], control: ControlState, mark: tuple[str, int, str]) -> None:
        try:
            await Operating(self._database, by=self._by).start(
                kind, control.write_version, RunOptions(), direction=Direction.DOWN, now=self._now
            )
        except BackfillRefusedError as error:
            self._rest(mark)
            events.way_back_refused(kind=kind.name, reason=error.reason)
            return
        now = (await self._control.view()).controls[kind.name]
        if now.state is not RolloutState.ROLLING_BACK:
            # An operator advanced again, and looked for this run before it was there.
            with suppress(IllegalTransitionError, RunNotFoundError):
                await Operating(self._database, by=self._by).cancel(kind.name)

    async def _cancel_against(self, kind: str, control: ControlState) -> None:
        for run in await self._runs.open(kind):
            if works_against(control, run):
                # It may end by itself at the same moment.
                with suppress(IllegalTransitionError, RunNotFoundError):
                    await Operating(self._database, by=self._by).cancel(kind)

    def _leave(self, kind: str, error: RecordFormatError) -> None:
        if (kind, error.record) not in self._left:
            self._left.add((kind, error.record))
            events.rollout_left(kind=kind, reason=str(error))

    async def _row_ends(self, kind: Kind[Any]) -> StoredRows:
        return await row_ends(
            self._database, collection=kind.collection, field=kind.version_field, baseline=kind.baseline
        )

    async def _settled(self, control: ControlState) -> bool:
        return Fleet(await self._nodes.all()).settled(control)

    def _rests(self, mark: tuple[str, int, str]) -> bool:
        return self._resting.get(mark, (0.0, 0.0))[0] > asyncio.get_running_loop().time()

    def _rest(self, mark: tuple[str, int, str]) -> None:
        seconds = min(max(_REST, 2 * self._resting.get(mark, (0.0, 0.0))[1]), _LONGEST_REST)
        self._resting = {mark: (asyncio.get_running_loop().time() + seconds, seconds), **self._of_others(mark)}

    def _of_others(self, mark: tuple[str, int, str]) -> dict[tuple[str, int, str], tuple[float, float]]:
        return {other: rest for other, rest in self._resting.items() if other[0] != mark[0]}


def _are_left(rows: StoredRows, control: ControlState) -> bool:
    if control.state is RolloutState.ROLLING_BACK:
        return rows.highest is not None and rows.highest > control.write_version
    return rows.lowest is not None and rows.lowest < control.write_version


def ends_of(kind: Kind[Any], coverage: Coverage) -> StoredRows:
    """
    Return where the rows of a kind stand, at its ends, from an exact count.
    """
    versions = [count.version for count in coverage.versions]
    untagged = [kind.baseline] if coverage.untagged else []
    return StoredRows(
        min(versions + untagged, default=None), max(versions + untagged, default=None), untagged=bool(coverage.untagged)
    )
