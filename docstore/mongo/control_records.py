"""
The control records, in `docstore_control`: what is stored of each kind, the knobs, and the one record of the fleet.

Every change is a compare-and-set on the fleet's record: it rests on what was seen there, raises its epoch, and carries
the changed record and the entry of the history within itself. Whoever comes next carries out what is not done yet, so
a process that dies in between leaves nothing half done.
"""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from bson.binary import Binary
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from docstore.core.control_view import FLEET, Change, ControlView
from docstore.core.record_format import CONTROL as CONTROL_FORMAT
from docstore.core.record_format import HISTORY as HISTORY_FORMAT
from docstore.core.write_version import Stored
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import translated
from docstore.mongo.own_records import CONTROL, HISTORY, NOW, literal, open_records

_EMPTY: Final[Stored] = {
    "format": CONTROL_FORMAT.written,
    "epoch": 0,
    "joins": 0,
    "freeze": None,
    "readers": [],
    "pending": None,
}


class ControlRecords:
    """
    The control records of a database. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.
    """

    def __init__(self, database: AnyDatabase) -> None:
        # A node that has heard of a state never goes back to an earlier one, nor to another one of the same epoch.
        self._control = open_records(database, CONTROL, majority=True)
        self._history = open_records(database, HISTORY)

    async def view(self) -> ControlView:
        """
        Return what the records say; reads only. The kinds' records may be newer than the fleet's, never older.

        Raises:
            RecordFormatError: One has a format that this release does not know.
        """
        with translated():
            # The epoch first: a verdict that rests on it is void if anything was changed since.
            fleet = await self._control.find_one({"_id": FLEET})
            others = [document async for document in self._control.find({"_id": {"$ne": FLEET}})]
        documents = {document["_id"]: document for document in others}
        return ControlView.of({FLEET: fleet, **documents} if fleet is not None else {})

    async def settled_view(self) -> ControlView:
        """
        Return what the records say once no change is being carried out; the fleet's record is there afterwards.

        Raises:
            RecordFormatError: One has a format that this release does not know.
        """
        while True:
            view = await self.view()
            if view.epoch < 0:
                await self._create()
            elif view.pending is not None:
                await self._carry_out(view.pending)
            else:
                return view

    async def change(
        self,
        seen: ControlView,
        *,
        entry: Mapping[str, Any],
        record: tuple[str, Mapping[str, Any]] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> bool:
        """
        Make a change if nothing was changed and no node has joined since, and carry it out; tell whether it was made.

        Args:
            seen: The settled view that it rests on. The change has the next epoch.
            entry: What the history says of it; the time is added.
            record: The `_id` and the new state of a kind's or a knob's record.
            fields: Expressions for fields of the fleet's own record.
        """
        pending = {
            "epoch": literal(seen.epoch + 1),
            "id": literal(None if record is None else record[0]),
            "document": literal(None if record is None else dict(record[1])),
            "entry": {**{name: literal(value) for name, value in entry.items()}, "at": NOW},
        }
        with translated():
            result = await self._control.update_one(
                {"_id": FLEET, **CONTROL_FORMAT.known, "epoch": seen.epoch, "joins": seen.joins, "pending": None},
                [{"$set": {**(fields or {}), "epoch": seen.epoch + 1, "pending": pending}}],
            )
        if not result.matched_count:
            return False
        await self.settled_view()
        return True

    async def count_join(self) -> None:
        """
        Make every verdict void that was reached before; whoever joins calls this once its record can be seen.
        """
        with translated():
            await self._control.update_one({"_id": FLEET, **CONTROL_FORMAT.known}, {"$inc": {"joins": 1}})

    async def note_home(self, home: uuid.UUID) -> None:
        """
        Note in which collection the records are, where nobody has noted it; no verdict rests on that.
        """
        with translated():
            await self._control.update_one(
                {"_id": FLEET, **CONTROL_FORMAT.known, "home": None}, {"$set": {"home": Binary.from_uuid(home)}}
            )

    async def history(self, *, kind: str | None = None, limit: int) -> list[Stored]:
        """
        Return the newest entries, oldest first: of one kind, or of all kinds, knobs and freezes.
        """
        only: Stored = {"_id.control": {"$exists": True}} if kind is None else {"_id.control": kind}
        await self.settled_view()
        with translated():
            found = self._history.find(only).sort("_id.number", DESCENDING).limit(limit)
            entries = [entry async for entry in found][::-1]
        for entry in entries:
            HISTORY_FORMAT.check(f"{HISTORY} {entry['_id']['control']}-{entry['_id']['number']}", entry)
        return entries

    async def _create(self) -> None:
        with translated(), suppress(DuplicateKeyError):
            # Where the record was lost, the others are there: what has their epochs already would not be carried out.
            newest = await self._control.find_one({"epoch": {"$type": "number"}}, sort=[("epoch", DESCENDING)])
            first = {**_EMPTY, "epoch": 0 if newest is None else newest["epoch"]}
            await self._control.update_one({"_id": FLEET}, {"$setOnInsert": first}, upsert=True)

    async def _carry_out(self, change: Change) -> None:
        """
        Do what a change says; idempotent, and harmless when it was done by others long ago.
        """
        with translated():
            if change.id is not None and change.document is not None:
                older = {"_id": change.id, "epoch": {"$lt": change.epoch}}
                # A duplicate key says that the record is as new as that, or newer.
                with suppress(DuplicateKeyError):
                    # Fields that this release does not know stay as they are.
                    fields = {name: literal(value) for name, value in change.document.items()}
                    await self._control.update_one(older, [{"$set": fields}], upsert=True)
            about = str(change.entry.get("about", FLEET))
            await self._history.update_one(
                {"_id": {"control": about, "number": change.epoch}},
                {"$setOnInsert": {"schema_version": HISTORY_FORMAT.written, **change.entry}},
                upsert=True,
            )
            await self._control.update_one({"_id": FLEET, "pending.epoch": change.epoch}, {"$set": {"pending": None}})
