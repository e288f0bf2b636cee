"""
What has to hold of stores and their rows after whatever they did.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from docstore.core.fleet_facts import Fleet
from docstore.core.rollout_state import RolloutState
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.node_records import NodeRecords
from tests.integration.fleet.store_process import Process
from tests.item_releases import LAST, NEWEST, Known

#: In how many of the newest entries of the history everything is that was done since the last look.
ENTRIES: Final = 50


class Promises:
    """
    Looks at a database after every action, and remembers what it saw.

    Args:
        database: Where the rows and the records are.
        known: What was acknowledged of every row.
    """

    def __init__(self, database: Any, known: Mapping[int, Known]) -> None:
        self._database = database
        self._known = known
        #: The versions at which rows stood at the last look.
        self.stood: dict[int, int] = {}
        #: The newest control state by then, and those of rollbacks by which somebody could still store.
        self._newest = -1
        self._going_back: set[int] = set()
        #: At how many looks from now on rows may stand lower because a worker has worked: one that was broken off may
        #: have sent a batch that arrives later.
        self._worked = 0

    def worked(self) -> None:
        """
        Take note that a worker has worked.
        """
        self._worked = 2

    async def check(self, processes: Sequence[Process]) -> None:
        """
        P4 and P11 for every row; P6 and P7 for every process that is believed to be alive and takes itself for it.
        """
        view = await ControlRecords(self._database).settled_view()
        rows = [row async for row in self._database.items.find()]
        fleet = Fleet(await NodeRecords(self._database).all(), view.readers)
        alive = {node.id: node for node in fleet.live("item")}
        bound = [each for each in processes if not each.warns and each.node._admitted and each.node.who.id in alive]
        readers = [(each.service, each.reads) for each in view.readers]
        readers += [(alive[each.node.who.id].name, alive[each.node.who.id].kinds["item"].reads) for each in bound]
        for name, reads in readers:
            assert all(reads.holds(row["schema_version"]) for row in rows), ("P6", name, reads, rows)
        latest = {process.latest for process in bound}
        assert not latest or max(latest) - min(latest) <= 1, ("P7", latest)
        await self._check_versions(processes, rows)
        for row in rows:
            self._check_row(NEWEST.upgrade(row), LAST)
        for process in bound:
            found = await process.store.collection(process.kind).find({}).to_list()
            assert {document.id for document in found} == {row["_id"] for row in rows}, ("P6", process)
            for document in found:
                self._check_row({"_id": document.id, **document.model_dump()}, process.latest)

    async def _check_versions(self, processes: Sequence[Process], rows: list[dict[str, Any]]) -> None:
        """
        Only the run of a rollback lowers a row's version (P4): of one that is on, or whose end somebody has not heard.
        """
        entries = await ControlRecords(self._database).history(kind="item", limit=ENTRIES)
        states = {entry["_id"]["number"]: entry["after"] for entry in entries if entry["after"] is not None}
        rollbacks = {epoch for epoch, state in states.items() if state == RolloutState.ROLLING_BACK}
        back = self._going_back or any(epoch > self._newest for epoch in rollbacks)
        may_lower, self._worked = back and self._worked, max(0, self._worked - 1)
        for row in rows:
            assert may_lower or row["schema_version"] >= self.stood.get(row["_id"], 0), ("P4", row, self.stood)
        self.stood = {row["_id"]: row["schema_version"] for row in rows}
        self._newest = max(states, default=-1)
        held = {self._newest}
        for process in processes:
            held |= {control.epoch for control in process.node._heard.controls.values()}
            held |= {epoch for _, epoch in process.node._in_flight._writes}
        self._going_back = held & rollbacks

    def _check_row(self, seen: Mapping[str, Any], latest: int) -> None:
        assert list(self._known[seen["_id"]].missing(seen, latest)) == [], seen
