"""
What operators do to the whole fleet: freeze, declare readers that docstore cannot see, turn knobs.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from docstore.core.admission import reader_admission
from docstore.core.blocker import Blocker, Cause, facts_of
from docstore.core.canonical_id import refuse_share
from docstore.core.control_view import KNOB_PREFIX, Knob, reader_record
from docstore.core.fleet_facts import DeclaredReader, Fleet
from docstore.core.write_version import StoredRows
from docstore.errors import NotInFleetError, ReaderRefusedError, RolloutRefusedError
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.own_records import NOW, literal


class FleetControls:
    """
    An operator's hands on what concerns all kinds.

    Every change rests on one moment of the fleet, and is tried anew if anything happens meanwhile.

    Args:
        database: Where the records are.
        by: Who asks, for the history.
    """

    def __init__(self, database: AnyDatabase, *, by: str) -> None:
        self._control = ControlRecords(database)
        self._nodes = NodeRecords(database)
        self._by = by

    async def freeze(self, why: str) -> None:
        """
        Let nobody advance anything, or turn a knob, until `unfreeze`; a freeze that is on stays as it is.
        """
        await self._set_freeze({"by": literal(self._by), "why": literal(why), "at": NOW}, why)

    async def unfreeze(self) -> None:
        """
        End the freeze, if one is on.
        """
        await self._set_freeze(None, "")

    async def declare(self, reader: DeclaredReader, rows: Callable[[], Awaitable[StoredRows]]) -> None:
        """
        Record a reader that docstore cannot see; one of the same service and kind is replaced.

        Args:
            reader: The reader.
            rows: Looks where the rows of the kind stand; asked anew each time, because a rollout may have come between.

        Raises:
            ReaderRefusedError: It does not read what is stored.
        """
        while True:
            view = await self._control.settled_view()
            # The nodes before the rows: what a node stored that is gone by now, the rows show.
            fleet = Fleet(await self._nodes.all(), view.readers)
            control = view.controls.get(reader.kind)
            blockers = reader_admission(reader, fleet=fleet, control=control, rows=await rows())
            if blockers:
                facts = [facts_of(blocker) for blocker in blockers]
                raise ReaderRefusedError(service=reader.service, kind=reader.kind, blockers=facts)
            declared = {**_literals(reader_record(reader)), "by": literal(self._by), "at": NOW}
            readers = {"$concatArrays": [_readers_but(reader.service, reader.kind), [declared]]}
            why = f"{reader.service} reads {reader.reads.low}..{reader.reads.high}"
            entry = self._entry(reader.kind, reader.kind, "a reader was declared", why)
            if await self._control.change(view, entry=entry, fields={"readers": readers}):
                return

    async def forget(self, service: str, kind: str | None = None) -> None:
        """
        Forget a declared reader: of one kind, or of all.

        Raises:
            NotInFleetError: None was declared.
        """
        while True:
            view = await self._control.settled_view()
            gone = [each for each in view.readers if _same(each, service, kind)]
            if not gone:
                raise NotInFleetError(what="declared reader", name=service)
            entry = self._entry(gone[0].kind, gone[0].kind, "a declared reader was forgotten", service)
            if await self._control.change(view, entry=entry, fields={"readers": _readers_but(service, kind)}):
                return

    async def turn(self, name: str, value: Any, *, percent: float = 100.0) -> Knob:
        """
        Give a knob a value, for all keys or for a share of them.

        Raises:
            ValueError: *percent* is not from 0 to 100.
            RolloutRefusedError: Everything is frozen.
        """
        refuse_share(percent)
        while True:
            view = await self._control.settled_view()
            if view.freeze is not None:
                frozen = Blocker(Cause.FROZEN, name, "everything is frozen")
                raise RolloutRefusedError(kind=name, asked="turning", blockers=[facts_of(frozen)])
            knob = Knob(name, value, percent, view.epoch + 1)
            # The value may be anything; the history says that it was turned.
            entry = self._entry(KNOB_PREFIX + name, None, "a knob was turned", f"for {percent:g} % of the keys")
            if await self._control.change(view, entry=entry, record=(KNOB_PREFIX + name, knob.stored())):
                return knob

    async def _set_freeze(self, freeze: Mapping[str, Any] | None, why: str) -> None:
        reason = "an operator ended the freeze" if freeze is None else "an operator froze everything"
        while True:
            view = await self._control.settled_view()
            if (view.freeze is None) == (freeze is None):
                return
            entry = self._entry("freeze", None, reason, why)
            if await self._control.change(view, entry=entry, fields={"freeze": freeze}):
                return

    def _entry(self, about: str, kind: str | None, reason: str, why: str) -> dict[str, Any]:
        unmoved = {"before": None, "after": None}
        return {"about": about, "kind": kind, **unmoved, "reason": reason, "by": self._by, "why": why}


def _same(reader: DeclaredReader, service: str, kind: str | None) -> bool:
    return reader.service == service and kind in {None, reader.kind}


def _readers_but(service: str, kind: str | None) -> dict[str, Any]:
    """
    Return the expression for the declared readers as they are recorded, but for those of a service (and kind).
    """
    same = [{"$eq": ["$$each.service", literal(service)]}]
    if kind is not None:
        same.append({"$eq": ["$$each.kind", literal(kind)]})
    return {"$filter": {"input": "$readers", "as": "each", "cond": {"$not": [{"$and": same}]}}}


def _literals(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: literal(value) for name, value in document.items()}
