"""
The form in which rows are stored: what is composed at the latest shape is stored as the control state says.
"""

from typing import Any, Generic, TypeVar

from docstore.core.bson_values import RawDocument
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.lifting import raised
from docstore.core.newer_steps import readable
from docstore.core.row_faults import decoded, id_of
from docstore.core.write_version import ControlState
from docstore.errors import WriteVersionUnwritableError
from docstore.store.encoding import encoded

D = TypeVar("D", bound=Document)


class StoredForm(Generic[D]):
    """
    Turns rows at the latest shape into rows to store. Every row that a store composes goes through here.

    Pure. A row that has to be stored above latest is raised through published steps, and one that stands there stays
    there. One that would have to be stored below latest is refused by name, and nothing is written.

    Raises:
        WriteVersionUnwritableError: The row has to be stored at a version that this code does not store.
        UpdateRefusedError: It is to be stored above latest, and cannot be exactly.
    """

    def __init__(self, kind: Kind[D]) -> None:
        self._kind = kind

    def new(self, row: bytes, control: ControlState) -> bytes:
        """
        Return what is stored for a row that is new, or that takes the place of whatever row is there.

        Args:
            row: The row at latest, tagged.
            control: What is to be stored.
        """
        if self._is_latest(control):
            return row
        version = control.version_for(id_of(row))
        if self._is_reached(version):
            return encoded(raised(self._kind, decoded(row, self._kind), version), kind=self._kind.name)
        self._require_latest(version)
        return row

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
        if not self._is_latest(control):
            version = self._version(row, raw, control)
            if self._is_reached(version):
                return raised(self._kind, row, version)
            self._require_latest(version)
        return row

    def at_latest(self, row: RawDocument, raw: bytes, control: ControlState) -> RawDocument:
        """
        Return what is stored over an existing row to which operators are applied next, which know latest alone.

        Args:
            row: The row at latest, tagged.
            raw: The row as it is stored.
            control: What is to be stored.
        """
        if not self._is_latest(control):
            self._require_latest(self._version(row, raw, control))
        return row

    def require_insertable(self, id: Any, control: ControlState) -> None:
        """
        Return if the row that an upsert inserts may be stored at latest.

        Args:
            id: Its `_id`, or None where the server or the operators choose it.
            control: What is to be stored.
        """
        if self._is_latest(control):
            return
        self._require_latest(control.written.low if id is None else control.version_for(id))

    def _version(self, row: RawDocument, raw: bytes, control: ControlState) -> int:
        standing = self._kind.version(decoded(raw, self._kind))
        return control.version_for(row["_id"], standing=standing)

    def _is_reached(self, version: int) -> bool:
        """Tell whether published steps lead from latest to a version above."""
        return self._kind.latest < version <= readable(self._kind)

    def _is_latest(self, control: ControlState) -> bool:
        """Tell whether every row is stored at latest, as nearly always."""
        return control.write_version == self._kind.latest and control.canary is None

    def _require_latest(self, version: int) -> None:
        latest = self._kind.latest
        if version == latest:
            return
        if version > latest:
            reason = f"this release knows versions up to {latest}"
        else:
            reason = "this release stores the latest version only"
        raise WriteVersionUnwritableError(kind=self._kind.name, write_version=version, latest=latest, reason=reason)
