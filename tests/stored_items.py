"""
The rows of a kind in memory, changed as stores change them: by the parts of the write path that make no call.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from docstore.core.bson_values import RawDocument, decode, encode
from docstore.core.kind import Kind
from docstore.core.newer_steps import at_latest, readable
from docstore.core.write_version import ControlState
from docstore.errors import DocumentError, UpdateRefusedError, WriteVersionUnwritableError
from docstore.store.composing import RowComposer
from docstore.store.rows import RowReader
from docstore.store.stored_form import StoredForm
from tests.item_releases import NEWEST, Change, Known, first_row

if TYPE_CHECKING:
    from docstore.mongo.residue_index import ResidueIndex


@dataclass(frozen=True, slots=True)
class Write:
    """
    A write on its way to the server, which takes effect only over the row that it was made from.
    """

    change: Change
    id: Any
    #: The row, as it was read; None where there was none.
    before: RawDocument | None
    after: RawDocument
    #: What it was decided by.
    control: ControlState


@dataclass
class StoredItems:
    """
    Rows, where they stand, and what was acknowledged of them.
    """

    #: Where the rows stand. Whoever puts a version here has a row there that nobody has changed.
    versions: dict[Any, int]
    rows: dict[Any, RawDocument] = field(default_factory=dict)
    known: defaultdict[Any, Known] = field(default_factory=lambda: defaultdict(Known))
    serial: int = 0
    #: What was stored although it must not be.
    faults: list[str] = field(default_factory=list)
    _seen: dict[Any, RawDocument] = field(default_factory=dict)

    def row(self, id: Any) -> RawDocument | None:
        version = self.versions.get(id)
        if version is not None and self.rows.get(id, {}).get("schema_version") != version:
            self.rows[id], self.known[id] = first_row(id, version), Known()
        return self.rows.get(id)

    def decided(self, kind: Kind[Any], id: Any, control: ControlState) -> Write | None:
        """
        Return what a release stores for a change of a row; None where it refuses to.
        """
        self.serial += 1
        change = Change(kind.latest, self.serial)
        composer, form = RowComposer(kind), StoredForm(kind, cast("ResidueIndex", None))
        before = self.row(id)
        try:
            if before is None:
                after = decode(form.new(composer.new(change.of(kind.model(id=id))), control))
            else:
                raw = encode(before)
                document = change.of(RowReader(kind).read(raw))
                after = form.changed(composer.changed(document, raw), raw, control)
        except (DocumentError, UpdateRefusedError, WriteVersionUnwritableError):
            return None
        return Write(change, id, before, after, control)

    def land(self, write: Write) -> int | None:
        """
        Store a row if it still is what it was; return where it stands then.
        """
        if self.row(write.id) is not write.before:
            return None
        stood, stands = (write.before or write.after)["schema_version"], write.after["schema_version"]
        if stands < stood:
            self.faults.append(f"P4: a row was brought from {stood} to {stands} by a change of {write.control.state}")
        self._store(write.after)
        self.known[write.id].acknowledge(write.change)
        return self.versions[write.id]

    def rewrite(self, id: Any, version: int) -> None:
        """
        Bring a row to a version, as a backfill does.
        """
        row = self.row(id)
        assert row is not None
        if row["schema_version"] < version:
            self._store(NEWEST.upgrade(row, to=version))
        else:
            self._store(NEWEST.lower(row, to=version))

    def broken(self, kinds: Iterable[Kind[Any]]) -> Iterator[str]:
        """
        Say what must not be stored, and what is not there of what was acknowledged, in rows that were stored since.
        """
        yield from self.faults
        releases = [NEWEST, *kinds]
        for row_id in self.versions:
            row = self.row(row_id)
            if row is None or self._seen.get(row_id) is row:
                continue
            self._seen[row_id] = row
            for kind in releases:
                if kind.floor <= row["schema_version"] <= readable(kind):
                    yield from self.known[row_id].missing(at_latest(kind, row), kind.latest)

    def _store(self, row: RawDocument) -> None:
        self.rows[row["_id"]], self.versions[row["_id"]] = row, row["schema_version"]
