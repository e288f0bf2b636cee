"""
How a node is admitted: it looks, records itself, and is in if nothing has happened meanwhile.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from docstore.core.admission import admission
from docstore.core.blocker import Blocker, Cause
from docstore.core.control_view import KIND_PREFIX, ControlView
from docstore.core.fleet_facts import Fleet, Lifetime, NodeFacts, Policy
from docstore.core.kind import Kind
from docstore.core.write_version import ControlState, first_version
from docstore.errors import FleetSkewError, NodeRefusedError
from docstore.fleet.process_facts import Identity, node_facts, node_kind
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.row_ends import row_ends

#: How long a node waits before it is refused, in seconds: those that were killed are only dead after their time.
PATIENCE: Final = 15.0
#: How often it asks meanwhile.
_ASK_AGAIN: Final = 0.5


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


class Joining:
    """
    The admission of one node.

    Args:
        database: Where the records and the rows are.
        who: The node.
        kinds: What it works with.
        policy: What it does when it is refused.
        life: How long it is believed to be alive.
        clock: A monotonic clock, in seconds.
        chance: Gives numbers from 0 to 1, so that nodes that start together drift apart.
    """

    def __init__(
        self,
        database: AnyDatabase,
        who: Identity,
        kinds: Sequence[Kind[Any]],
        *,
        policy: Policy,
        life: Lifetime,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._database = database
        self._control = ControlRecords(database)
        self._nodes = NodeRecords(database)
        self._who = who
        self._kinds = kinds
        self._policy = policy
        self._life = life
        self._clock = clock
        self._chance = chance

    async def wait(self, *, patience: float = PATIENCE) -> Joined:
        """
        Ask for admission until it is given.

        Raises:
            FleetSkewError: It was not given in time: the latest version is too far from that of another node.
            NodeRefusedError: It was not given in time, for other reasons.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        began = self._clock()
        try:
            while True:
                joined = await self.attempt()
                waited = self._clock() - began
                if joined.admitted:
                    return joined
                if waited >= patience:
                    raise refusal(self._who.service, joined.blockers, waited=waited)
                await asyncio.sleep(min(_ASK_AGAIN, patience - waited))
        except NodeRefusedError:
            await self._nodes.remove(self._who.id)
            raise

    async def attempt(self) -> Joined:
        """
        Ask once; the record says afterwards whether the node is admitted, or what it waits for.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database; others may have seen the node for a moment.
        """
        while True:
            view = await self._control.settled_view()
            if await self._begin_kinds(view):
                continue
            rows = {
                kind.name: await row_ends(
                    self._database, collection=kind.collection, field=kind.version_field, baseline=kind.baseline
                )
                for kind in self._kinds
            }
            controls = {kind.name: view.controls[kind.name] for kind in self._kinds}
            fleet = Fleet(await self._nodes.all(), view.readers)
            blockers = tuple(admission(self._facts(controls, admitted=True), fleet=fleet, controls=controls, rows=rows))
            if blockers and self._policy is Policy.ENFORCE:
                words = tuple(blocker.words for blocker in blockers)
                await self._nodes.put(self._facts(controls, admitted=False, waits_for=words))
                return Joined(view, blockers, admitted=False, sent=0.0)
            sent = self._clock()
            # Whoever looks from now on sees it; whoever has looked before finds the epoch changed.
            await self._nodes.put(self._facts(controls, admitted=True))
            if await self._control.raise_epoch(view.epoch):
                return Joined(view, blockers, admitted=True, sent=sent)
            await asyncio.sleep(self._chance() * 0.02)

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
        )

    async def _begin_kinds(self, view: ControlView) -> bool:
        """
        Give a kind its first control state, if one has none; tell whether the view is out of date now.
        """
        for kind in self._kinds:
            if kind.name in view.controls:
                continue
            rows = await row_ends(
                self._database, collection=kind.collection, field=kind.version_field, baseline=kind.baseline
            )
            highest = min((each.reads.high for each in view.readers if each.kind == kind.name), default=None)
            first = first_version(rows, baseline=kind.baseline, latest=kind.latest, readable_by_all=highest)
            marks = node_kind(kind, None).fingerprints
            steps = {to: mark for to, mark in marks.items() if int(to) <= first}
            state = ControlState(kind.name, first, view.epoch + 1, steps=steps)
            entry = {
                "about": kind.name,
                "kind": kind.name,
                "before": None,
                "after": state.state.value,
                "reason": "a node worked with the kind for the first time",
                "by": self._who.service,
                "why": f"stored at version {first}",
            }
            await self._control.change(view.epoch, entry=entry, record=(KIND_PREFIX + kind.name, state.stored()))
            return True
        return False


def refusal(service: str, blockers: Sequence[Blocker], *, waited: float) -> NodeRefusedError:
    """
    Return the error for a node that is not admitted.
    """
    cls = FleetSkewError if any(blocker.cause is Cause.SKEW for blocker in blockers) else NodeRefusedError
    return cls(service=service, blockers=[facts_of(blocker) for blocker in blockers], waited=waited)


def facts_of(blocker: Blocker) -> dict[str, Any]:
    """
    Return a blocker as errors and reports carry it.
    """
    return {**asdict(blocker), "cause": blocker.cause.value, "facts": dict(blocker.facts)}
