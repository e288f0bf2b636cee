"""From the stored bytes of a row to the latest model."""

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

import bson
from bson.errors import BSONError

from docstore.core.bson_values import CODEC, RawDocument
from docstore.core.document import ORIGIN, Document
from docstore.core.kind import Kind
from docstore.core.newer_steps import at_latest, standing
from docstore.core.residue import RESIDUE
from docstore.core.row_faults import decoded, refused
from docstore.errors import DocumentError
from docstore.mongo.reading import parts_of

D = TypeVar("D", bound=Document)

#: How many rows are decoded at once. Few enough that the dicts are gone before the garbage collector looks at them.
DECODED_AT_ONCE: Final = 128

_set_origin = Document.__dict__[ORIGIN].__set__


class RowReader(Generic[D]):
    """
    Brings rows of one kind to the latest shape and into the model.

    Nothing is written, and a row that cannot be read leaves the reader as it was. What is returned remembers the
    stored bytes, which share nothing with the values in it.

    Args:
        kind: Whose rows these are.
        on_old: Called with the stored bytes and the upgraded, tagged row of every row below latest that the model
            took. The row is only lent: its values belong to the document that was read.
        on_failed: Called with the error of every row that a step or the model refuses, before it is raised.
    """

    def __init__(
        self,
        kind: Kind[D],
        on_old: Callable[[bytes, RawDocument], None] | None = None,
        *,
        on_failed: Callable[[DocumentError], None] | None = None,
    ) -> None:
        self.kind = kind
        self._on_old = on_old
        self._on_failed = on_failed

    def read(self, raw: bytes, row: RawDocument | None = None) -> D:
        """
        Return the document of one row.

        Args:
            raw: The row as it is stored.
            row: The same, decoded; it is used up.

        Raises:
            NewerVersionError: The row is above latest, and no published step leads down from there.
            RetiredVersionError: The row is below the floor; carries both versions.
            UnknownVersionError: The tag is no positive integer; carries the type that was found.
            UpgradeFailedError, DowngradeFailedError: A step failed; carries kind, id, version, step and the field path.
            InvalidDocumentError: The bytes are no valid BSON, or the model refuses the row; carries pydantic's error
                types and field paths.
        """
        kind = self.kind
        field = kind.version_field
        if row is None:
            row = decoded(raw, kind)
        tag = row.get(field)
        version = kind.latest
        # `type`, because True equals 1 and a double is still to be normalised by the next rewrite.
        if tag != version or type(tag) is not int:
            version = standing(kind, row)
        lent = None
        if version != kind.latest:
            row = self._brought(row, version)
            lent = dict(row) if version < kind.latest and self._on_old is not None else None
        row.pop(field, None)
        if RESIDUE in row:
            del row[RESIDUE]
        document = self._modelled(raw, row, version)
        if lent is not None and self._on_old is not None:
            self._on_old(raw, lent)
        return document

    def _brought(self, row: RawDocument, version: int) -> RawDocument:
        """Bring a row of another version to latest."""
        try:
            if version > self.kind.latest:
                return at_latest(self.kind, row)
            return self.kind.chain.lift(row, version, self.kind.latest)
        except DocumentError as error:
            self._tell(error)
            raise

    def rows(self, batch: bytes, on_error: Callable[[DocumentError], None] | None = None) -> Iterator[D]:
        """
        Yield the documents of a batch in order; see `read`.

        Args:
            batch: Stored rows, one after another.
            on_error: Takes the error of a row that cannot be read, which is then left out. Without it the error is
                raised where the row stands, and the rest of the batch is not read.
        """
        field, latest = self.kind.version_field, self.kind.latest
        for raws, rows in decoded_parts(batch):
            for raw, row in zip(raws, rows, strict=True):
                try:
                    # What `read` does with a row at latest: nearly all of them are.
                    if row is not None and (tag := row.get(field)) == latest and type(tag) is int:
                        del row[field]
                        if RESIDUE in row:
                            del row[RESIDUE]
                        document = self._modelled(raw, row, latest)
                    else:
                        document = self.read(raw, row)
                except DocumentError as error:
                    if on_error is None:
                        raise
                    on_error(error)
                else:
                    yield document

    def _modelled(self, raw: bytes, row: RawDocument, version: int) -> D:
        try:
            document: D = self.kind.model.__pydantic_validator__.validate_python(row)
        except Exception as error:  # noqa: BLE001 - whatever a validator raises, it is this row that is at fault
            # The cause would show the row's values in every traceback.
            fault = refused(error, kind=self.kind, row=row, version=version)
            self._tell(fault)
            raise fault from None
        _set_origin(document, raw)
        return document

    def _tell(self, error: DocumentError) -> None:
        if self._on_failed is not None:
            self._on_failed(error)


def decoded_parts(batch: bytes) -> Iterator[tuple[list[bytes], list[RawDocument] | list[None]]]:
    """Yield the rows of a batch in parts, stored and decoded; None for the rows that have to be decoded one by one."""
    for part, raws in parts_of(batch, DECODED_AT_ONCE):
        try:
            yield raws, bson.decode_all(part, CODEC)
        except (BSONError, ValueError):
            # One row in it is no valid BSON; each is decoded by itself, so that only that one fails.
            yield raws, [None] * len(raws)
