"""
The form in which rows are stored: what is composed at the latest shape is stored as the control state says.
"""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from docstore.core.bson_values import RawDocument
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.lifting import raised
from docstore.core.newer_steps import readable
from docstore.core.residue import RESIDUE, above
from docstore.core.row_faults import decoded
from docstore.core.write_version import ControlState
from docstore.errors import UpdateRefusedError, WriteVersionUnwritableError
from docstore.mongo.driver import AnySession
from docstore.mongo.residue_index import ResidueIndex
from docstore.store.encoding import encoded

D = TypeVar("D", bound=Document)


class StoredForm(Generic[D]):
    """
    Turns rows at the latest shape into rows to store. Every row that a store composes goes through here.

    A row that is stored below latest is brought down by the steps' way back; what the lower version cannot express is
    kept in its residue. Read again, it is what was to be stored: the same fields with the same BSON (P11). A row that
    is to be stored above latest is raised through published steps, and one that stands there stays there (P4). A row
    that cannot be stored so is refused by name, and nothing is written.

    Raises:
        WriteVersionUnwritableError: Rows have to be stored at a version that this code does not store: it does not
            know it, or a step above has no way back.
        NotExpressibleError: That version can have no such row; carries step and path.
        DowngradeFailedError: A step's way back failed; carries the step.
        UpdateRefusedError: A row is to be stored above latest, and cannot be exactly.
    """

    def __init__(self, kind: Kind[D], residues: ResidueIndex) -> None:
        self._kind = kind
        self._residues = residues

    def new(self, row: bytes, control: ControlState) -> bytes:
        """
        Return what is stored for a row that is new.

        Args:
            row: The row at latest, tagged.
            control: What is to be stored.
        """
        if self.is_latest(control):
            return row
        composed = decoded(row, self._kind)
        version = control.version_for(composed["_id"])
        return row if version == self._kind.latest else encoded(self._at(composed, version), kind=self._kind.name)

    def changed(self, row: RawDocument, raw: bytes, control: ControlState) -> RawDocument:
        """
        Return what is stored over an existing row.

        Args:
            row: The row as it is to be: at latest, tagged, or where it stands above latest.
            raw: The row as it is stored.
            control: What is to be stored.
        """
        if row[self._kind.version_field] > self._kind.latest:
            return row
        if self.is_latest(control):
            return row
        standing = self._kind.version(decoded(raw, self._kind))
        return self._at(row, control.version_for(row["_id"], standing=standing))

    def inserted(self, row: RawDocument, control: ControlState) -> RawDocument:
        """
        Return what is stored for a new row that the server has composed; see `new`.
        """
        return self._at(row, control.version_for(row["_id"]))

    def over(self, row: RawDocument, raw: bytes) -> RawDocument:
        """
        Return a new row at latest with what the row in whose place it comes keeps of versions above that.
        """
        residue = decoded(raw, self._kind).get(RESIDUE)
        kept = above(residue, self._kind.latest) if isinstance(residue, Mapping) else {}
        return {**row, RESIDUE: kept} if kept else row

    def is_latest(self, control: ControlState) -> bool:
        """
        Tell whether every row is stored at latest, as nearly always.
        """
        return control.write_version == self._kind.latest and control.canary is None

    async def ready(self, rows: Iterable[bytes | RawDocument], session: AnySession | None) -> None:
        """
        Return when rows may be stored: the first that has a residue waits for the index by which it is found.

        Raises:
            UpdateRefusedError: There is no such index yet, and within a transaction none can be built.
            StoreRejectedError: It cannot be built.
        """
        if not any(_NAME in row if isinstance(row, bytes) else RESIDUE in row for row in rows):
            return
        if session is None or not session.in_transaction:
            await self._residues.require()
        elif not await self._residues.ready_in_transaction():
            reason = (
                "the index for rows that keep what an older version cannot express is not there yet, and a transaction "
                "cannot build it; make one such write outside of a transaction first"
            )
            raise UpdateRefusedError(kind=self._kind.name, reason=reason)

    async def prepare(self, session: AnySession | None) -> None:
        """
        Have the index built that rows with a residue need, before a transaction of docstore's own that may store some.
        """
        if session is None or not session.in_transaction:
            await self._residues.require()

    def _at(self, row: RawDocument, version: int) -> RawDocument:
        kind = self._kind
        if version == kind.latest:
            return row
        if kind.latest < version <= readable(kind):
            return raised(kind, row, version)
        reason = None
        if version > kind.latest:
            reason = f"this release knows versions up to {kind.latest}"
        elif version < kind.floor:
            reason = f"this release knows versions from {kind.floor} on"
        elif one_way := kind.chain.one_way(version, kind.latest):
            reason = f"step {one_way[0].to} has no way back"
        if reason is not None:
            raise WriteVersionUnwritableError(kind=kind.name, write_version=version, latest=kind.latest, reason=reason)
        return kind.lower(row, to=version)


_NAME = RESIDUE.encode() + b"\0"
