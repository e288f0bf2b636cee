"""
By which steps the rows of a kind keep a residue, remembered in the kind's control record while steps come and go.
"""

from typing import Any, Final

from docstore.core.control_view import KIND_PREFIX
from docstore.core.fingerprint import OF_KIND, fingerprints
from docstore.core.kind import Kind
from docstore.core.record_format import CONTROL as CONTROL_FORMAT
from docstore.core.residue import RESIDUE
from docstore.mongo.driver import AnyDatabase, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.own_records import CONTROL, open_records

#: The field of the control record: fingerprints, by the version that a step produces. No change of the state names it.
_FIELD: Final = "residue_steps"
#: Every tag of a row that keeps something.
_ANY: Final = {"$type": "number"}


class ResidueSteps:
    """
    The fingerprints of the steps by which rows of one kind may keep a residue.

    Args:
        database: Where the records and the rows are.
        kind: The kind, as this code knows it.
    """

    def __init__(self, database: AnyDatabase, kind: Kind[Any]) -> None:
        self._database = database
        self._kind = kind

    async def remember(self) -> None:
        """
        Say that rows may keep a residue by this code's steps; to be done before the first of them is stored.

        What was said of another step under the same number is forgotten where no row keeps anything by it. Idempotent;
        nothing is written where it is known already. Processes without a fleet have no record, and nothing to say.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database; no row with a residue may be stored then.
        """
        said = await self._said()
        new = {to: mark for to, mark in self._marks().items() if mark not in said.get(to, ())}
        if not new:
            return
        marks = {to: [*(said[to] if to in said and await self._keeps(to) else ()), mark] for to, mark in new.items()}
        with translated():
            await open_records(self._database, CONTROL).update_one(
                {"_id": self._record, **CONTROL_FORMAT.known},
                {"$set": {f"{_FIELD}.{to}": each for to, each in marks.items()}},
            )

    async def kept(self) -> dict[str, tuple[str, ...]]:
        """
        Return by which other steps than this code's rows may keep a residue: fingerprints, by the version produced.

        A look at the rows decides, one call for each step that others define otherwise; nearly always there is none.

        Raises:
            StoreUnavailableError, StoreRejectedError: The database.
        """
        ours = self._marks()
        others = {to: marks for to, marks in (await self._said()).items() if set(marks) != {ours.get(to)}}
        return {to: marks for to, marks in others.items() if to in ours and await self._keeps(to)}

    @property
    def _record(self) -> str:
        return KIND_PREFIX + self._kind.name

    def _marks(self) -> dict[str, str]:
        return {to: mark for to, mark in fingerprints(self._kind, self._kind.latest).items() if to != OF_KIND}

    async def _said(self) -> dict[str, tuple[str, ...]]:
        records = open_records(self._database, CONTROL, majority=True)
        with translated():
            record = await records.find_one({"_id": self._record, **CONTROL_FORMAT.known}, {_FIELD: 1})
        return {to: tuple(marks) for to, marks in ((record or {}).get(_FIELD) or {}).items()}

    async def _keeps(self, step: str) -> bool:
        rows = open_collection(self._database, self._kind.collection, primary=True)
        # The tag is the key of the partial index, so that the server takes it without being told, if it is there.
        asked = {RESIDUE: {"$exists": True}, f"{RESIDUE}.{step}": {"$exists": True}, self._kind.version_field: _ANY}
        with translated():
            return await rows.find_one(asked, {"_id": 1}) is not None
