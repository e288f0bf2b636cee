"""
How a node is admitted: it records itself, voids every verdict that was reached without it, and looks whether it fits.

Whoever looks after the record was written sees the node. Whoever looked before, and wants to act on it, finds that a
node has joined. So of two that do not fit together at least one sees the other, and no change of what is stored can
miss a node.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.admission import admission
from docstore.core.blocker import Blocker, Cause, facts_of
from docstore.core.control_view import KIND_PREFIX, ControlView
from docstore.core.direction import Direction
from docstore.core.fleet_facts import Fleet, Lifetime, NodeFacts, Policy
from docstore.core.kind import Kind
from docstore.core.rollout_gates import reader_blocker
from docstore.core.write_version import ControlState, StoredRows, Unsettled, VersionRange, first_version
from docstore.errors import FleetSkewError, NodeRefusedError, StoreError
from docstore.fleet.floors import Floors, stored_rows
from docstore.fleet.home import settle_home
from docstore.fleet.process_facts import Identity, node_facts, node_kind
from docstore.fleet.step_exchange import StepExchange
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.residue_steps import ResidueSteps
from docstore.mongo.runs import Runs

#: How long a node waits before it is refused, in seconds: those that were killed are only dead after their time.
PATIENCE: Final = 15.0
#: How often it asks meanwhile.
_ASK_AGAIN: Final = 0.5
#: How long it may take to withdraw, in seconds.
_LEAVING: Final = 2.0


@dataclass(frozen=True, slots=True)
class Joined:
    """
    What became of an attempt to join.
    """

    view: ControlView
    #: What is in the way; a node that only warns is in all the same.
    blockers: tuple[Blocker, ...]
    admitted: bool
    #: When the claim was sent, by the node's own clock.
    sent: float
    #: Those of the blockers that no policy passes over: rows that cannot be read, or may be met.
    mismatches: tuple[Blocker, ...] = ()

    def tell(self, log: Callable[..., None], *, service: str) -> None:
        """
        Log what is, or was, in the way.
        """
        for blocker in self.blockers:
            log(
                "admitted all the same" if self.admitted else "not admitted",
                service=service,
                cause=blocker.cause.value,
                kind=blocker.kind,
                **{f"its_{name}": fact for name, fact in blocker.facts.items()},
            )


@dataclass(frozen=True, slots=True)
class _Look:
    """
    What a verdict rests on, and the verdict.
    """

    view: ControlView
    controls: Mapping[str, ControlState]
    rows: Mapping[str, StoredRows]
    blockers: tuple[Blocker, ...]
    mismatches: tuple[Blocker, ...]
    #: Whether every node stored only what the control states say.
    settled: bool


class Joining:
    """
    The admission of one node.

    Args:
        database: Where the records and the rows are.
        who: The node.
        kinds: What it works with.
        policy: What it does when it is refused.
        life: How long it is believed to be alive.
        begins: Whether it settles the write version of the kinds that have none.
        acknowledged: Gives the epoch up to which nothing is under way any more: a node that asks anew may have writes
            on their way that it decided before others took it for dead.
        clock: A monotonic clock, in seconds.
        chance: Gives numbers from 0 to 1, so that nodes that start together drift apart.
        steps: What the kinds read beside their own steps.
    """

    def __init__(
        self,
        database: AnyDatabase,
        who: Identity,
        kinds: Sequence[Kind[Any]],
        *,
        policy: Policy,
        life: Lifetime,
        begins: bool = True,
        acknowledged: Callable[[ControlState], int],
        clock: Callable[[], float],
        chance: Callable[[], float],
        steps: StepExchange,
    ) -> None:
        self._steps = steps
        self._database = database
        self._control = ControlRecords(database)
        self._nodes = NodeRecords(database)
        self._who = who
        self._kinds = kinds
        self._floors = Floors(database, kinds, service=who.service)
        self._policy = policy
        self._life = life
        self._begins = begins
        self._acknowledged = acknowledged
        self._clock = clock
        self._chance = chance

    async def wait(self, *, patience: float = PATIENCE) -> Joined:
        """
        Ask for admission until it is given.

        Raises:
            FloorMismatchError: The code lacks steps that rows need, or may come to need; waiting does not help.
            FleetSkewError: It was not given in time: the latest version is too far from that of another node.
            NodeRefusedError: It was not given in time, for other reasons.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        try:
            return await self._wait(patience)
        except BaseException:
            # Whatever the reason: nobody has to wait until a node is dead that never was there.
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(_LEAVING):
                    await self._nodes.remove(self._who.id)
            raise

    async def _wait(self, patience: float) -> Joined:
        began = self._clock()
        while True:
            joined = await self.attempt()
            waited = self._clock() - began
            if joined.admitted:
                await self._floors.tell(joined.view)
                return joined
            if joined.mismatches:
                raise await self._floors.refusal(joined.view, joined.mismatches)
            if waited >= patience:
                raise refusal(self._who.service, joined.blockers, waited=waited)
            # Two that claimed at once may have refused each other; they do not meet again.
            await asyncio.sleep(min(_ASK_AGAIN * (0.5 + self._chance()), patience - waited))

    async def attempt(self) -> Joined:
        """
        Ask once; the record says afterwards whether the node is admitted, or what it waits for.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database; others may take the node for admitted until it
                is dead.
        """
        # A first look, so that others do not meet the claim of a node that does not fit.
        look = await self._look()
        # Whoever comes first to a restored backup sees to it that nobody goes on with the runs in it.
        await settle_home(self._database, by=self._who.service)
        if self._refuses(look):
            return await self._refused(look)
        sent = self._clock()
        await self._nodes.put(self._facts(look.controls, admitted=True))
        await self._control.count_join()
        look = await self._look(before=look)
        if self._refuses(look):
            return await self._refused(look)
        return Joined(look.view, look.blockers, admitted=True, sent=sent)

    def _refuses(self, look: "_Look") -> bool:
        # Who only warns opens beside others whom it does not fit, but not on rows that it has no steps for.
        return bool(look.mismatches or (look.blockers and self._policy is Policy.ENFORCE))

    async def _refused(self, look: "_Look") -> Joined:
        words = tuple(blocker.words for blocker in look.blockers)
        await self._nodes.put(self._facts(look.controls, admitted=False, waits_for=words))
        return Joined(look.view, look.blockers, admitted=False, sent=0.0, mismatches=look.mismatches)

    async def _look(self, *, before: "_Look | None" = None) -> "_Look":
        view = await self._control.settled_view()
        while self._begins and (await self._begin_kinds(view) or await self._floors.begin(view)):
            view = await self._control.settled_view()
        controls = {kind.name: view.controls[kind.name] for kind in self._kinds if kind.name in view.controls}
        await self._steps.load(controls)
        # The nodes before the rows: what a node stored that is gone by now, the rows show.
        fleet = Fleet(await self._nodes.all(), view.readers)
        if before is not None and before.settled and before.controls == controls:
            # Since then nothing was stored but at versions that the control states name.
            rows = before.rows
        else:
            rows = {kind.name: await stored_rows(self._database, kind) for kind in self._kinds}
        # The nodes before what rows keep, for the same reason, and anew each time: no control state tells of it.
        kept = {kind.name: await ResidueSteps(self._database, kind).kept() for kind in self._kinds}
        found = admission(self._facts(controls, admitted=True), fleet=fleet, controls=controls, rows=rows, kept=kept)
        mismatches = self._floors.mismatches(view, rows)
        blockers = (*mismatches, *(blocker for blocker in found if not _said(blocker, mismatches)))
        settled = all(fleet.settled(control) for control in controls.values())
        return _Look(view, controls, rows, blockers, mismatches, settled=settled)

    def _facts(
        self, controls: Mapping[str, ControlState], *, admitted: bool, waits_for: tuple[str, ...] = ()
    ) -> NodeFacts:
        return node_facts(
            self._who,
            self._kinds,
            controls,
            policy=self._policy,
            life=self._life,
            admitted=admitted,
            waits_for=waits_for,
            acknowledged=self._acknowledged,
        )

    async def _begin_kinds(self, view: ControlView) -> bool:
        """
        Give a kind its first control state, if one has none; tell whether the view is out of date now.

        Raises:
            NodeRefusedError: A declared reader does not read what this node would be the first to store.
        """
        for kind in self._kinds:
            if kind.name in view.controls:
                continue
            rows = await stored_rows(self._database, kind)
            readers = [each for each in view.readers if each.kind == kind.name]
            # What a fence does not let in, nobody could store: a rollout raises it.
            fence = view.floor_of(kind.name).fence
            highs = [each.reads.high for each in readers] + ([] if fence is None else [fence.high])
            highest = min(highs, default=None)
            ordered = [
                run.target for run in await Runs(self._database).open(kind.name) if run.direction is Direction.UP
            ]
            first = first_version(
                rows,
                baseline=kind.baseline,
                latest=kind.latest,
                readable_by_all=highest,
                ordered=max(ordered, default=None),
            )
            blind = tuple(reader_blocker(each, first) for each in readers if not each.reads.holds(first))
            if blind and self._policy is Policy.ENFORCE:
                raise refusal(self._who.service, blind, waited=0.0)
            marks = node_kind(kind, None).fingerprints
            steps = {to: mark for to, mark in marks.items() if int(to) <= first}
            epoch = view.epoch + 1
            unsettled = await self._unsettled(kind, first, epoch)
            state = ControlState(kind.name, first, epoch, unsettled=unsettled, steps=steps)
            entry = {
                "about": kind.name,
                "kind": kind.name,
                "before": None,
                "after": state.state.value,
                "reason": "a node worked with the kind for the first time",
                "by": self._who.service,
                "why": f"stored at version {first}",
            }
            await self._control.change(view, entry=entry, record=(KIND_PREFIX + kind.name, state.stored()))
            return True
        return False

    async def _unsettled(self, kind: Kind[Any], first: int, epoch: int) -> Unsettled | None:
        """
        Return what workers may store that rewrote rows of the kind before anybody had settled its write version.
        """
        fleet = Fleet(await self._nodes.all())
        highest = [node.kinds[kind.name].latest for node in fleet.live(kind.name, but=self._who.id)]
        return Unsettled(VersionRange(first, max(first, *highest)), epoch) if highest else None


def refusal(service: str, blockers: Sequence[Blocker], *, waited: float) -> NodeRefusedError:
    """
    Return the error for a node that is not admitted.
    """
    cls = FleetSkewError if any(blocker.cause is Cause.SKEW for blocker in blockers) else NodeRefusedError
    return cls(service=service, blockers=[facts_of(blocker) for blocker in blockers], waited=waited)


def _said(blocker: Blocker, mismatches: Sequence[Blocker]) -> bool:
    return any((blocker.cause, blocker.kind) == (each.cause, each.kind) for each in mismatches)
