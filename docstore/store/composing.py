"""What is stored for a document: a new row, or a stored row with what was changed."""

from typing import Any, Generic, TypeVar

from bson.decimal128 import Decimal128
from pydantic import AliasChoices, AliasPath

from docstore.core.bson_values import RawDocument, identical
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.lifting import lifted
from docstore.core.merge import merge
from docstore.core.newer_steps import newer_versions, standing
from docstore.core.paths import MISSING
from docstore.core.residue import RESIDUE
from docstore.core.row_faults import brought, decoded, side_by_side, upgraded
from docstore.errors import DocumentError, InvalidDocumentError, ModelFieldError, UpdateRefusedError
from docstore.store.encoding import dumped, encoded, storable
from docstore.store.rows import RowReader

D = TypeVar("D", bound=Document)


class RowComposer(Generic[D]):
    """
    Composes rows of one kind, tagged with the latest version.

    Pure: nothing is written, documents are not changed. A row that could not be read back into the model is refused,
    so nothing that leaves here is poison.

    Raises:
        ModelFieldError: The model would not find a field again under the name under which it stores it.
    """

    def __init__(self, kind: Kind[D]) -> None:
        check_aliases(kind)
        self._kind = kind
        self._reader = RowReader(kind)

    def new(self, document: D) -> bytes:
        """
        Return the row to insert for a document; it begins with `_id` and the tag.

        Raises:
            UnstorableValueError: A value has no place in BSON; carries its path and type.
            InvalidDocumentError: The model would refuse the row; carries the field paths.
            UpdateRefusedError: The document has a field by a name of docstore's own.
        """
        return self._row(self._settled(document))

    def id_of(self, document: D) -> Any:
        """Return a document's `_id` as it is stored."""
        return storable(document.id, kind=self._kind.name, path="_id")

    def same(self, first: bytes, second: bytes) -> bool:
        """Tell whether two stored rows are one and the same at the latest shape; unreadable ones never are."""
        try:
            one, other = side_by_side(first, second, self._kind)
        except DocumentError:
            return False
        return one.keys() == other.keys() and all(identical(value, other[name]) for name, value in one.items())

    def upgraded(self, raw: bytes) -> RawDocument:
        """
        Return a stored row at the latest shape, as the model takes it.

        Raises:
            DocumentError: The row cannot be read; see `RowReader.read`.
        """
        self._reader.read(raw)
        return upgraded(raw, self._kind)

    def changed(self, document: D, raw: bytes) -> RawDocument:
        """
        Return the stored row *raw* at the latest shape, with everything in which *document* differs from it.

        Fields that the model does not know survive, and what was not changed keeps its BSON type. A row that stands
        above latest stays where it stands, with everything that only its own version has.

        Raises:
            UpdateRefusedError: The document has another id than the row, or a field by a name of docstore's own.
            DocumentError: The row cannot be read, or what would be stored could not.
        """
        kind = self._kind
        before = self._fields(self._reader.read(raw))
        now = self._settled(document)
        if not identical(before["_id"], now["_id"]):
            raise UpdateRefusedError(kind=kind.name, reason="the document's id was changed")
        stored = brought(raw, kind)
        if identical(before, now):
            return self._where_it_stood(raw, stored)
        merged = merge(stored, before, now)
        doubtful = self._misread(merged, before, now)
        if doubtful:
            # The model does not read and write these fields in the way that the merge takes for granted (it sorts
            # a list, for example): such a field is stored as the document has it, without what the model dropped.
            for name in doubtful:
                if name in now:
                    merged[name] = now[name]
                else:
                    merged.pop(name, None)
            self._readable(encoded(merged, kind=kind.name), now)
        return self._where_it_stood(raw, merged)

    def _where_it_stood(self, raw: bytes, composed: RawDocument) -> RawDocument:
        """Return what was composed at latest at the version of a row above latest; else as it is."""
        if not newer_versions(self._kind):
            return composed
        row = decoded(raw, self._kind)
        return composed if standing(self._kind, row) <= self._kind.latest else lifted(self._kind, row, composed)

    def _settled(self, document: D) -> RawDocument:
        """
        Return the fields of a document as the model itself reads and writes them.

        Assignments are not validated: an int may stand in a field of floats. A field that comes back otherwise, and
        then stays so, is stored as it comes back. One that never settles (a timestamp that the model sets whenever
        it is read) is stored as the document has it.
        """
        fields = self._fields(document)
        back = self._back(fields)
        changed = [name for name in fields if not _alike(back.get(name, MISSING), fields[name])]
        if changed:
            again = self._back(back)
            fields |= {name: back[name] for name in changed if name in back and _alike(again.get(name), back[name])}
        return fields

    def _back(self, fields: RawDocument) -> RawDocument:
        """Return what the model makes of fields that are stored and read again."""
        return self._fields(self._readable(self._row(fields), fields))

    def _row(self, fields: RawDocument) -> bytes:
        kind = self._kind
        row = {"_id": fields["_id"], kind.version_field: kind.latest}
        return encoded({**row, **fields}, kind=kind.name)

    def _misread(self, merged: RawDocument, before: RawDocument, now: RawDocument) -> list[str]:
        """Return the fields that a document read from the merged row would hold other than the document at hand."""
        try:
            seen = self._fields(self._reader.read(encoded(merged, kind=self._kind.name)))
        except InvalidDocumentError:
            seen = {}
        return [name for name in {**before, **now} if not _alike(seen.get(name, MISSING), now.get(name, MISSING))]

    def _fields(self, document: D) -> RawDocument:
        if not isinstance(document, self._kind.model):
            msg = f"a {self._kind.model.__name__} is needed, not {type(document).__name__}"
            raise TypeError(msg)
        fields = dumped(document, kind=self._kind.name)
        fields.pop(self._kind.version_field, None)
        if RESIDUE in fields:
            # A model that keeps extra fields: what is stored there is never read back.
            reason = f"the document has a field {RESIDUE!r}, which is docstore's own"
            raise UpdateRefusedError(kind=self._kind.name, reason=reason)
        return fields

    def _readable(self, raw: bytes, fields: RawDocument) -> D:
        """Read a row back, or say why it must not be written."""
        try:
            return self._reader.read(raw)
        except InvalidDocumentError as error:
            error.add_note("nothing was written: the model would refuse the row when it is read back")
            if any(isinstance(value, Decimal128) for value in fields.values()):
                error.add_note("decimals come back as Decimal128: annotate such fields with docstore.BsonDecimal")
            raise


def check_aliases(kind: Kind[Any]) -> None:
    """
    Make sure that every field of a kind's model is read from where it is stored.

    Raises:
        ModelFieldError: One is not; carries both names.
    """
    for name, field in kind.model.model_fields.items():
        stored_as = field.serialization_alias or name
        read_from = _names_read(field.validation_alias, name)
        found = "_id" in read_from and stored_as == "_id" if name == "id" else stored_as in read_from
        if not found and not field.exclude:
            raise ModelFieldError(kind=kind.name, field=name, stored_as=stored_as, read_from=read_from)


def _names_read(alias: str | AliasPath | AliasChoices | None, name: str) -> list[str]:
    choices = alias.choices if isinstance(alias, AliasChoices) else [name if alias is None else alias]
    return [choice if isinstance(choice, str) else ".".join(map(str, choice.path)) for choice in choices]


def _alike(first: Any, second: Any) -> bool:
    if first is MISSING or second is MISSING:
        return first is second
    return identical(first, second)
