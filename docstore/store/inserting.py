"""
Storing new documents, and remembering which of them are stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from docstore.core.document import Document, set_origin_row
from docstore.core.kind import Kind
from docstore.core.write_version import ControlState
from docstore.errors import DocumentExistsError, StoreError
from docstore.mongo.driver import AnySession
from docstore.mongo.row_writer import RowWriter
from docstore.store.composing import RowComposer
from docstore.store.gate import OpenWrite
from docstore.store.stored_form import StoredForm

D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of new documents, by their positions; those in neither were not tried, after the first fault."""

    places: frozenset[int]
    errors: Mapping[int, StoreError]


class Inserts(Generic[D]):
    """
    Inserts documents of one kind; those that are stored remember their row.

    Attributes:
        writing: Opens one write; its control state says how rows are composed, and it lasts until they are stored.
    """

    def __init__(
        self, kind: Kind[D], *, writer: RowWriter, composer: RowComposer[D], form: StoredForm[D], writing: OpenWrite
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._composer = composer
        self._form = form
        self.writing = writing

    def row(self, document: D, control: ControlState) -> bytes:
        """
        Return the row to insert for a document.

        Raises:
            InvalidDocumentError, UnstorableValueError: It could not be read back.
            WriteVersionUnwritableError, NotExpressibleError: It cannot be stored at the version at which it has to be.
        """
        return self._form.new(self._composer.new(document), control)

    async def store(
        self, documents: Sequence[D], rows: Sequence[bytes], *, ordered: bool, session: AnySession | None
    ) -> Stored:
        """
        Insert the rows of documents, each by itself; where *ordered*, none after the first fault. Within one write.

        Raises:
            StoreUnavailableError: Nobody knows which of them are stored.
        """
        if not rows:
            return Stored(frozenset(), {})
        await self._form.ready(rows, session)
        outcome = await self._writer.insert(rows, ordered=ordered, session=session)
        for place in outcome.stored:
            set_origin_row(documents[place], rows[place])
        errors: dict[int, StoreError] = {
            place: DocumentExistsError(kind=self._kind.name, id=documents[place].id, index=index)
            for place, index in outcome.duplicates.items()
        }
        return Stored(outcome.stored, {**errors, **outcome.refusals})
