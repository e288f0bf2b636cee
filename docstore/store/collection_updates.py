"""
The half of a collection that changes and deletes rows by a filter, at the latest shape.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar, overload

from pydantic import BaseModel

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.mongo.driver import AnyDatabase, AnySession, newest
from docstore.mongo.reading import SortKeys
from docstore.mongo.residue_index import ResidueIndex
from docstore.mongo.row_writer import UpdateResult
from docstore.store.collection_reads import CollectionReads
from docstore.store.composing import RowComposer
from docstore.store.deleting import Deletions
from docstore.store.gate import WriteGate
from docstore.store.matching_rows import MatchingRows
from docstore.store.observed_reading import projection_reader
from docstore.store.observed_writing import row_writer
from docstore.store.observer import Observer
from docstore.store.pauses import Pause
from docstore.store.query import Queries
from docstore.store.stored_form import StoredForm
from docstore.store.update_request import check_filter, update_request
from docstore.store.updating import Updates
from docstore.store.write_back import WriteBack

D = TypeVar("D", bound=Document)
P = TypeVar("P", bound=BaseModel)

#: Which form of a row an update returns.
ReturnDocument: TypeAlias = Literal["before", "after"]

_Filter = Mapping[str, Any]
_Operators = Mapping[str, Any]
_ArrayFilters = Sequence[Mapping[str, Any]] | None


class CollectionUpdates(CollectionReads[D]):
    """What changes and deletes rows by a filter; see `Collection`."""

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[D],
        *,
        gate: WriteGate,
        pause: Pause,
        write_back: WriteBack | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._writing = gate.of(kind.name)
        self._form = StoredForm(kind, ResidueIndex(database, kind))
        self._writer = row_writer(database, kind, observer)
        super().__init__(
            database,
            kind,
            writer=self._writer,
            write_back=write_back,
            on_failed=gate.failed_reads_of(kind.name),
            observer=observer,
            absence=partial(gate.absence, kind.name),
        )
        self._observer = observer
        self._composer = RowComposer(kind)
        # What a secondary does not have yet would be taken for a row that is not there.
        queries = Queries(newest(database), kind, self._reader, absence=partial(gate.absence, kind.name))
        rows = MatchingRows(
            kind,
            writer=self._writer,
            composer=self._composer,
            form=self._form,
            writing=self._writing,
            queries=queries,
            pause=pause,
        )
        self._updates = Updates(
            kind, writer=self._writer, form=self._form, writing=self._writing, rows=rows, pause=pause
        )
        self._deletions = Deletions(
            kind, writer=self._writer, writing=self._writing, rows=rows, queries=queries, pause=pause
        )

    async def update(
        self,
        filter: _Filter,
        operators: _Operators,
        *,
        many: bool = False,
        upsert: bool = False,
        array_filters: _ArrayFilters = None,
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> UpdateResult:
        """
        Apply update operators to one row that matches, or to all, at the latest shape.

        A row that is still old is rewritten to the latest version first; the operators never meet another shape. The
        update of one row is atomic; that of many is not atomic as a whole. The result is not checked against the
        model: operators say what they say.

        Args:
            filter: Which rows, at the latest shape; see `find`.
            operators: MongoDB's, such as `{"$inc": {"visits": 1}}`; positional ones (`$`, `$[]`, `$[name]`) too. No
                pipeline, and nothing that touches the tag or `_id`.
            many: Update every row that matches, instead of any one.
            upsert: Insert a row at the latest version where none matches.
            array_filters: As MongoDB takes them.
            allow_client_filter: Where only Python functions can upgrade old rows that the filter asks about, read and
                match these, however many, instead of refusing; see `find`. Only rows that match are rewritten.
            session: The session to write in.

        Raises:
            UpdateRefusedError: The operators or the filter could break a promise, or the server has no transactions
                and *upsert* needs one (it needs none where the filter names an `_id`); nothing was written.
            NewerVersionError, RetiredVersionError, UnknownVersionError: A row matches whose version this code does
                not know, though it may read it; with *many* nothing was written.
            DocumentError: An old row that matches cannot be upgraded.
            ConflictError: Other writers were quicker in every try.
            DocumentExistsError: Another row has the same unique key.
            StaleQueryError: See `find`.
        """
        request = update_request(
            self.kind, self._filter(filter), operators, array_filters, in_client=allow_client_filter
        )
        return await self._updates.apply(request, many=many, upsert=upsert, session=session)

    async def update_many(
        self,
        filter: _Filter,
        operators: _Operators,
        *,
        array_filters: _ArrayFilters = None,
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> UpdateResult:
        """Apply update operators to every row that matches: `update` with *many*; raises the same."""
        return await self.update(
            filter,
            operators,
            many=True,
            array_filters=array_filters,
            allow_client_filter=allow_client_filter,
            session=session,
        )

    async def upsert(
        self,
        filter: _Filter,
        operators: _Operators,
        *,
        array_filters: _ArrayFilters = None,
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> UpdateResult:
        """
        Apply update operators to one row that matches, or insert one: `update` with *upsert*; raises the same.

        No second row is inserted because the one that matches is old, or is rewritten meanwhile. Two upserts at once
        can insert two rows, as in MongoDB, unless a unique index (that on the `_id`, for example) forbids it.
        """
        return await self.update(
            filter,
            operators,
            upsert=True,
            array_filters=array_filters,
            allow_client_filter=allow_client_filter,
            session=session,
        )

    @overload
    async def find_one_and_update(
        self,
        filter: _Filter,
        operators: _Operators,
        *,
        return_document: ReturnDocument = ...,
        sort: SortKeys | None = ...,
        upsert: bool = ...,
        projection: None = ...,
        array_filters: _ArrayFilters = ...,
        allow_client_filter: bool = ...,
        session: AnySession | None = ...,
    ) -> D | None: ...

    @overload
    async def find_one_and_update(
        self,
        filter: _Filter,
        operators: _Operators,
        *,
        return_document: ReturnDocument = ...,
        sort: SortKeys | None = ...,
        upsert: bool = ...,
        projection: type[P],
        array_filters: _ArrayFilters = ...,
        allow_client_filter: bool = ...,
        session: AnySession | None = ...,
    ) -> P | None: ...

    async def find_one_and_update(
        self,
        filter: _Filter,
        operators: _Operators,
        *,
        return_document: ReturnDocument = "before",
        sort: SortKeys | None = None,
        upsert: bool = False,
        projection: type[P] | None = None,
        array_filters: _ArrayFilters = None,
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> D | P | None:
        """
        Apply update operators to the first row that matches, and return it as it was before, or as it is after.

        Operators and form are of the same atomic write: nobody else's change lies between the two. Both forms are at
        the latest shape; the row of the second can be replaced at once.

        Args:
            filter: Which rows, at the latest shape; see `find`.
            operators: See `update`.
            return_document: "before" (the driver's default) or "after".
            sort: Which row is the first; any one without it.
            upsert: Insert a row where none matches; before that there was none, so "before" returns None.
            projection: A model of some of the fields, to read instead of the kind's; its objects cannot be replaced.
            array_filters: As MongoDB takes them.
            allow_client_filter: Where only Python functions can upgrade old rows that the filter asks about, read and
                match these, however many, instead of refusing; see `find`. Only rows that match are rewritten.
            session: The session to write in.

        Returns:
            The document, or None if no row matched.

        Raises:
            InvalidDocumentError: The operators have made of the row what the model refuses; they took effect.
            UpdateRefusedError, DocumentError, ConflictError, DocumentExistsError, StaleQueryError: See `update`.
        """
        if return_document not in ("before", "after"):
            msg = f"return_document is 'before' or 'after', not {return_document!r}"
            raise ValueError(msg)
        request = update_request(
            self.kind, self._filter(filter), operators, array_filters, in_client=allow_client_filter
        )
        raw = await self._updates.find_and_apply(
            request, sort=sort or (), after=return_document == "after", upsert=upsert, session=session
        )
        if raw is None:
            return None
        if projection is not None:
            return next(projection_reader(self.kind, projection, self._observer).rows(raw))
        return self._reader.read(raw)

    async def delete_one(
        self, filter: _Filter, *, allow_client_filter: bool = False, session: AnySession | None = None
    ) -> bool:
        """
        Delete one row that matches at the latest shape, whatever shape is stored; tell whether there was one.

        Atomic: what is deleted matched when it was deleted. *allow_client_filter* is that of `find`.

        Raises:
            UpdateRefusedError: The filter names the tag, or a field by a name that only the model has.
            NewerVersionError, RetiredVersionError, UnknownVersionError: A row matches whose version this code does
                not know, though it may read it; nothing was deleted.
            DocumentError: An old row cannot be upgraded, so nobody can tell whether it matches.
            ConflictError: Other writers were quicker in every try.
            StaleQueryError: See `find`.
        """
        sent = self._filter(filter)
        check_filter(self.kind, sent)
        return await self._deletions.one(sent, in_client=allow_client_filter, session=session)

    async def delete_many(
        self, filter: _Filter, *, allow_client_filter: bool = False, session: AnySession | None = None
    ) -> int:
        """
        Delete every row that matches at the latest shape, whatever shape is stored; return how many were deleted.

        Each row is deleted by itself. One that begins to match meanwhile may stay. *allow_client_filter* is that of
        `find`; the client then reads the old rows twice: to delete those that match, and to see that none is left.

        Raises:
            NewerVersionError, RetiredVersionError, UnknownVersionError: A row matches whose version this code does
                not know, though it may read it; nothing was deleted.
            DocumentError: An old row cannot be upgraded, so nobody can tell whether it matches.
            ConflictError: Other writers were quicker in every try; others may have been deleted.
            UpdateRefusedError, StaleQueryError: See `delete_one`.
        """
        sent = self._filter(filter)
        check_filter(self.kind, sent)
        return await self._deletions.many(sent, in_client=allow_client_filter, session=session)
