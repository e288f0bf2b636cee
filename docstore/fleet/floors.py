"""
The floors of a node's kinds: recorded where nothing is stored yet, and held against what the node still reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from docstore.core.blocker import Blocker, facts_of
from docstore.core.control_view import ControlView
from docstore.core.fleet_facts import Fleet
from docstore.core.floor_findings import StandingFence, floor_findings
from docstore.core.floor_rules import FloorFacts, floor_mismatch
from docstore.core.floor_state import FLOOR_PREFIX, FloorState
from docstore.core.kind import Kind
from docstore.core.write_version import StoredRows
from docstore.errors import FloorMismatchError, StoreRejectedError
from docstore.mongo.collection_identity import collection_uuid
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.fence import read_fence
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.row_ends import row_ends
from docstore.mongo.rows_below import rows_below
from docstore.mongo.unreadable_tags import holds_nothing_else, holds_unreadable_tags

_log: Final = structlog.get_logger("docstore.fleet")

#: Why a floor is recorded that nobody has proved.
EMPTY: Final = "a node worked with an empty collection"
#: Unauthorized.
_NOT_ALLOWED: Final = 13


class Floors:
    """
    Reads and, on empty collections, records the floors of some kinds.

    Args:
        database: Where the records and the rows are.
        kinds: The kinds, as the code at hand has them.
        service: Who works with them.
    """

    def __init__(self, database: AnyDatabase, kinds: Sequence[Kind[Any]], *, service: str) -> None:
        self._database = database
        self._kinds = tuple(kinds)
        self._service = service
        self._control = ControlRecords(database)

    async def begin(self, view: ControlView) -> bool:
        """
        Record the floor of one kind of which nothing is stored, and nobody may store anything below it.

        Returns:
            Whether the view is out of date now, and there may be another such kind.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        for kind in self._kinds:
            record = view.floor_of(kind.name)
            if kind.floor == kind.baseline or record.floor is not None:
                continue
            if facts_about(kind, record, await stored_rows(self._database, kind)).to_be_initialised:
                control = view.controls.get(kind.name)
                fleet = Fleet(await NodeRecords(self._database).all(), view.readers)
                if control is None or fleet.may_be_written(control).low < kind.floor:
                    continue
                await self._control.change(view, **await floor_change(self._database, view, kind, by=self._service))
                return True
        return False

    def mismatches(self, view: ControlView, rows: Mapping[str, StoredRows]) -> tuple[Blocker, ...]:
        """
        Return what keeps the code at hand from being used, whatever its policy is.
        """
        found = [facts_about(kind, view.floor_of(kind.name), rows[kind.name]) for kind in self._kinds]
        return tuple(blocker for facts in found for blocker in floor_mismatch(facts))

    async def refuse(self) -> None:
        """
        Return if the code at hand may be used, for processes that are no nodes; reads only.

        Raises:
            FloorMismatchError: It lacks steps that rows need, or may come to need.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        view = await self._control.view()
        rows = {kind.name: await stored_rows(self._database, kind) for kind in self._kinds}
        if mismatches := self.mismatches(view, rows):
            raise await self.refusal(view, mismatches)

    async def tell(self, view: ControlView) -> None:
        """
        Log what was done to the rows behind the back of what is recorded; nothing of it keeps a node from working.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        for kind in self._kinds:
            if kind.name in view.floors:
                for finding in await floor_findings_of(self._database, kind, view):
                    facts = {f"its_{name}": fact for name, fact in finding.facts.items()}
                    _log.warning(
                        "floor bypassed", service=self._service, cause=finding.cause.value, kind=kind.name, **facts
                    )

    async def refusal(self, view: ControlView, mismatches: Sequence[Blocker]) -> FloorMismatchError:
        """
        Return the error for what `mismatches` gave, about the first kind that is named there.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        kind = next(kind for kind in self._kinds if kind.name == mismatches[0].kind)
        below = await rows_below(
            self._database,
            collection=kind.collection,
            field=kind.version_field,
            baseline=kind.baseline,
            version=kind.floor,
        )
        return FloorMismatchError(
            service=self._service,
            kind=kind.name,
            floor=kind.floor,
            recorded=view.floor_of(kind.name).floor,
            rows_below=below,
            blockers=[facts_of(blocker) for blocker in mismatches],
        )


async def floor_change(
    database: AnyDatabase, view: ControlView, kind: Kind[Any], *, by: str, reason: str = EMPTY
) -> dict[str, Any]:
    """
    Return what `ControlRecords.change` is told to record the floor of a kind's code.
    """
    home = await collection_uuid(database, kind.collection)
    state = view.floor_of(kind.name).after(view.epoch + 1, floor=kind.floor, home=home)
    entry = {
        "about": kind.name,
        "kind": kind.name,
        "before": None,
        "after": None,
        "reason": reason,
        "by": by,
        "why": f"the floor is {kind.floor}",
    }
    return {"entry": entry, "record": (FLOOR_PREFIX + kind.name, state.stored())}


def facts_about(kind: Kind[Any], record: FloorState, rows: StoredRows) -> FloorFacts:
    """
    Return what decides whether the code of a kind may be used.
    """
    return FloorFacts(kind.name, kind.floor, kind.baseline, record, rows)


async def floor_findings_of(database: AnyDatabase, kind: Kind[Any], view: ControlView) -> tuple[Blocker, ...]:
    """
    Return what was done to the rows of a kind behind the back of its recorded floor; reads only.

    Where this user must not see how collections are validated, only the rows tell something.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    rows = await stored_rows(database, kind)
    return tuple(floor_findings(view.floor_of(kind.name), rows, await _standing_fence(database, kind)))


async def _standing_fence(database: AnyDatabase, kind: Kind[Any]) -> StandingFence | None:
    try:
        found = await read_fence(database, kind.collection)
    except StoreRejectedError as error:
        if error.code == _NOT_ALLOWED:
            return None
        raise
    low, high = (None, None) if found.bounds is None else (found.bounds.low, found.bounds.high)
    return StandingFence(found.uuid, low, high, found.validation)


async def stored_rows(database: AnyDatabase, kind: Kind[Any]) -> StoredRows:
    """
    Return where the rows of a kind stand, at its ends, and whether there are any that stand nowhere.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    where = {"collection": kind.collection, "field": kind.version_field}
    ends = await row_ends(database, **where, baseline=kind.baseline)
    unreadable = await holds_unreadable_tags(database, **where)
    if ends.lowest is None and not unreadable:
        # No index is needed: the first row that is there tells.
        unreadable = await holds_nothing_else(database, **where)
    return replace(ends, unreadable=unreadable)
