"""
What operators do to runs: ask for one, pause, resume, cancel, change an option.
"""

import datetime
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from enum import StrEnum
from typing import Any, Final

from docstore.backfill.ceiling import refuse_retired
from docstore.backfill.choosing import ChosenIds, RandomRows, select
from docstore.backfill.concluding import WAITS_FOR_WRITERS
from docstore.backfill.looking import counted
from docstore.backfill.settling import settled
from docstore.core.coverage import Coverage
from docstore.core.direction import Direction
from docstore.core.fingerprint import differences, fingerprints
from docstore.core.kind import Kind
from docstore.core.run_record import RunOptions, RunRecord, Stored
from docstore.core.run_scope import RunScope, direction_of, refuse_version, side_of_rows
from docstore.core.run_state import (
    CLAIMABLE,
    ENDED,
    RunState,
    cancelled_by_wish,
    paused_by_wish,
    resumed_by_wish,
)
from docstore.core.selected_rows import SelectedRows
from docstore.errors import BackfillRefusedError, IllegalTransitionError, RunNotFoundError
from docstore.fleet.home import settle_home
from docstore.mongo.batches import Batches
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.run_update import RunOpenError
from docstore.mongo.runs import Runs
from docstore.mongo.selections import Selection

#: How long an option may have another value for a while, in seconds: ten years. Times past the year 9999 are none.
LONGEST: Final = 3650 * 86400.0

_SPOKEN: Final = {
    Direction.UP: "a run to version {}",
    Direction.DOWN: "a run down to version {}",
    Direction.ADOPT: "a run that tags rows",
}


class LiveOption(StrEnum):
    """
    An option that can be changed while a run is open, by its name in `RunOptions`.
    """

    RATE = "rate"
    BATCH_SECONDS = "batch_seconds"


class Operating:
    """
    An operator's hands on the runs of a database.

    A wish takes effect at the next batch: workers finish what they have in flight. Asking for what is the case already
    changes nothing.

    Args:
        database: Where the records are.
        by: Who asks, for the history.
        why: What the history is to say of it, beyond what the transition means.
    """

    def __init__(self, database: AnyDatabase, *, by: str, why: str = "") -> None:
        self._database = database
        self._by = by
        self._why = why
        self._runs = Runs(database)
        self._batches = Batches(database, owner="", lease=0.0)
        #: Where all rows of the kind stood when `start` looked.
        self.coverage: Coverage | None = None

    async def start(
        self,
        kind: Kind[Any],
        target: int,
        options: RunOptions,
        *,
        direction: Direction | None = None,
        chosen: ChosenIds | RandomRows | None = None,
        now: Callable[[], datetime.datetime],
    ) -> RunRecord:
        """
        Ask for a run; an open run to the same target, in the same direction, is gone on with instead.

        Args:
            kind: Whose rows.
            target: The version to bring them to.
            options: The limits of the run.
            direction: Where rows are taken; by default away from where they stand, if that is one side of the target.
            chosen: The rows that it is limited to; all of them by default.
            now: The clock.

        Raises:
            VersionRangeError: *target* is no version of the kind.
            BackfillRefusedError: Rows stand on both sides of it and no direction was given, the way leads down over a
                step that has no way back, every row stands above latest, *target* is retired, another run of the kind
                is open, or none of the chosen ids names a row.
        """
        refuse_version(kind, target)
        await refuse_retired(self._database, kind.name, target)
        # Else whoever notices the restored backup later would pause this run with those that came with it.
        await settle_home(self._database, by=self._by)
        coverage = self.coverage = await counted(self._database, kind, now)
        while True:
            for found in await self._runs.open(kind.name):
                # The workers of a run that is to end may be gone.
                run = await self.settled(found)
                if run.state in ENDED:
                    continue
                _refuse_beside(run, _meant_beside(run, kind, coverage, target, direction), options, chosen)
                # Somebody is here who wants it to be tried now.
                for reason in WAITS_FOR_WRITERS:
                    await self._runs.release(run.id, reason)
                await self._forget_before(run)
                return run
            scope = RunScope(kind, target, direction_of(kind, coverage, target, direction))
            selected = None
            if chosen is not None:
                selected = await select(self._database, kind, chosen, scope.sources(coverage), now=now)
            opened = await self._runs.enqueue(
                kind=kind.name,
                collection=kind.collection,
                target=target,
                options=options,
                fingerprints=fingerprints(kind, target, scope.direction),
                by=self._by,
                why=self._why,
                direction=scope.direction,
                selection=selected,
            )
            if opened is not None:
                await self._unless_retired(opened)
                await self._forget_before(opened)
                return opened
            await self._forget(selected)

    async def pause(self, kind: str) -> RunRecord:
        """
        Have nobody work on the kind's run until it is resumed.

        Raises:
            RunNotFoundError: The kind has no run.
            IllegalTransitionError: The run is being cancelled, or has ended.
        """
        return await self._wish(kind, paused_by_wish)

    async def resume(self, kind: str) -> RunRecord:
        """
        Have the kind's paused or failed run go on where it stopped.

        Raises:
            RunNotFoundError: The kind has no run.
            IllegalTransitionError: The run has succeeded or was cancelled.
            BackfillRefusedError: Another run of the kind is open by now.
        """
        await settle_home(self._database, by=self._by)
        return await self._wish(kind, resumed_by_wish)

    async def cancel(self, kind: str) -> RunRecord:
        """
        End the kind's run for good. Rows that were rewritten stay so.

        Raises:
            RunNotFoundError: The kind has no run.
            IllegalTransitionError: The run has ended already.
        """
        return await self._wish(kind, cancelled_by_wish)

    async def set(self, kind: str, option: LiveOption, value: float | None, *, seconds: float | None) -> RunRecord:
        """
        Change an option of the kind's open run; workers keep to it within about a second.

        Args:
            kind: The kind.
            option: Which one.
            value: Its value; for the rate, None stands for no bound.
            seconds: For how long, at most `LONGEST`; None stands for good.

        Raises:
            RunNotFoundError: The kind has no open run.
            ValueError: It is no time, or too long a one.
        """
        if seconds is not None and not 0 < seconds <= LONGEST:
            msg = f"an option is changed for more than 0 and at most {LONGEST:.0f} seconds, or for good"
            raise ValueError(msg)
        for run in await self._runs.open(kind):
            changed = await self._runs.set_option(
                run.id, option.value, value, seconds=seconds, by=self._by, why=self._why
            )
            if changed is not None:
                return changed
        raise RunNotFoundError(kind=kind, open_only=True)

    async def settled(self, run: RunRecord) -> RunRecord:
        """
        Return a run that is to be paused or cancelled as it is then, if nobody holds a batch of it any more.
        """
        return await settled(self._runs, self._batches, run, by=self._by) or run

    async def settle(self, kind: str) -> bool:
        """
        Let the kind's last run be paused or cancelled, if that is wanted and nobody works on it; tell whether it is.
        """
        run = await self._runs.last(kind)
        return run is not None and (await self.settled(run)).state is not run.state

    async def _unless_retired(self, run: RunRecord) -> None:
        """
        Cancel a run again if its target was retired meanwhile, by somebody who looked before the run was there.
        """
        try:
            await refuse_retired(self._database, run.kind, run.target)
        except BackfillRefusedError:
            # It may end by itself at the same moment.
            with suppress(IllegalTransitionError, RunNotFoundError):
                await self.cancel(run.kind)
            raise

    async def _wish(self, kind: str, leads_to: Callable[[RunState], RunState]) -> RunRecord:
        while True:
            run = await self._runs.last(kind)
            if run is None:
                raise RunNotFoundError(kind=kind)
            after = leads_to(run.state)
            if after is run.state:
                return await self.settled(run)
            # The rows of a failed run are looked at afresh, by workers that were mended meanwhile perhaps.
            changes: Stored | None = {"sources": None, "deadly": []} if run.state is RunState.FAILED else None
            try:
                moved = await self._runs.move(run.id, run.state, after, by=self._by, why=self._why, changes=changes)
            except RunOpenError as error:
                raise BackfillRefusedError(kind=kind, reason="another run is open by now") from error
            if moved is not None:
                return await self.settled(moved)

    async def _forget_before(self, run: RunRecord) -> None:
        """
        Remove what is kept of the batches and rows of earlier runs, also where a process died that was to do it.
        """
        for earlier in await self._runs.kept_before(run):
            await self._batches.forget([earlier.id])
            await self._forget(earlier.selection)
            await self._runs.set_fields(earlier.id, forgotten=True)

    async def _forget(self, selected: SelectedRows | None) -> None:
        if selected is not None:
            await Selection(self._database, selected.id).forget()


def _refuse_beside(
    run: RunRecord,
    scope: RunScope,
    options: RunOptions,
    chosen: ChosenIds | RandomRows | None,
) -> None:
    """
    Refuse to take an open run for one that was asked for, if it is another one.
    """

    def refused(reason: str, advice: str) -> BackfillRefusedError:
        return BackfillRefusedError(kind=run.kind, reason=reason, advice=advice)

    cancel = f"docstore backfill cancel {run.kind} ends it"
    if run.direction is not scope.direction or run.target != scope.target:
        raise refused(f"{_SPOKEN[run.direction].format(run.target)} is open", f"wait for it, or {cancel}")
    if (None if chosen is None else chosen.mark) != (None if run.selection is None else run.selection.mark):
        which = "all rows" if run.selection is None else f"{run.selection.rows:,} chosen rows only"
        raise refused(f"a run over {which} is open", f"wait for it, or {cancel}")
    if differences(fingerprints(scope.kind, scope.target, scope.direction), run.fingerprints):
        raise refused("a run of other code is open: the steps are not the same", f"wait for it, or {cancel}")
    if run.state not in CLAIMABLE:
        goes_on = "wait for it" if run.state is RunState.CANCELLING else f"docstore backfill resume {run.kind}"
        raise refused(f"a run is open and {run.state}", f"{goes_on}, or {cancel}")
    if options not in {RunOptions(), run.options, run.lasting}:
        others = _differing(options, run.options)
        words = ", ".join(
            f"{name.replace('_', '-')} is {found}, not {asked}" for name, (found, asked) in others.items()
        )
        way = f"docstore backfill set {run.kind} changes that" if others.keys() <= set(LiveOption) else "wait for it"
        raise refused(f"a run with other options is open: {words}", f"{way}, or {cancel}")


def _differing(asked: RunOptions, of_run: RunOptions) -> dict[str, tuple[str, str]]:
    """
    Return the options that are not the same: what the run has, and what was asked for.
    """
    pairs = {field.name: (getattr(of_run, field.name), getattr(asked, field.name)) for field in fields(RunOptions)}
    return {
        name: ("none" if has is None else f"{has}", "none" if wanted is None else f"{wanted}")
        for name, (has, wanted) in pairs.items()
        if has != wanted
    }


def _meant_beside(
    run: RunRecord, kind: Kind[Any], coverage: Coverage, target: int, asked: Direction | None
) -> RunScope:
    """
    Return which rows are meant while a run is open: where nothing tells, those that the run is about.

    A run at work leaves rows on both sides of its target, or none at all, so neither is a reason to refuse.
    """
    of_run = Direction.UP if run.direction is Direction.ADOPT else run.direction
    return RunScope(kind, target, asked or side_of_rows(kind, coverage, target) or of_run)
