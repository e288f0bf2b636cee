"""
Storing new documents, and remembering which of them are stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from docstore.core.document import Document, set_origin_row
from docstore.core.kind import Kind
from docstore.errors import DocumentExistsError, StoreError
from docstore.mongo.driver import AnySession
from docstore.mongo.row_writer import RowWriter
from docstore.store.composing import RowComposer

D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of new documents, by their positions; those in neither were not tried, after the first fault."""

    places: frozenset[int]
    errors: Mapping[int, StoreError]


class Inserts(Generic[D]):
    """Inserts documents of one kind; those that are stored remember their row."""

    def __init__(self, kind: Kind[D], *, writer: RowWriter, composer: RowComposer[D]) -> None:
        self._kind = kind
        self._writer = writer
        self._composer = composer

    def row(self, document: D) -> bytes:
        """
        Return the row to insert for a document.

        Raises:
            InvalidDocumentError, UnstorableValueError: It could not be read back.
        """
        return self._composer.new(document)

    async def store(
        self, documents: Sequence[D], rows: Sequence[bytes], *, ordered: bool, session: AnySession | None
    ) -> Stored:
        """
        Insert the rows of documents, each by itself; where *ordered*, none after the first fault.

        Raises:
            StoreUnavailableError: Nobody knows which of them are stored.
        """
        if not rows:
            return Stored(frozenset(), {})
        outcome = await self._writer.insert(rows, ordered=ordered, session=session)
        for place in outcome.stored:
            set_origin_row(documents[place], rows[place])
        errors: dict[int, StoreError] = {
            place: DocumentExistsError(kind=self._kind.name, id=documents[place].id, index=index)
            for place, index in outcome.duplicates.items()
        }
        if outcome.refusal is not None:
            at_fault: Sequence[Any] = [
                place for place in range(len(rows)) if place not in outcome.stored and place not in errors
            ]
            errors |= dict.fromkeys(at_fault[:1] if ordered else at_fault, outcome.refusal)
        return Stored(outcome.stored, errors)
