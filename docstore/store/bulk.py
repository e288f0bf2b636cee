"""
A list of writes of several sorts, each of them with the promises that it has alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, Generic, TypeAlias, TypeVar

from docstore.core.document import Document
from docstore.core.write_version import ControlState
from docstore.errors import (
    BulkFailedError,
    DocstoreError,
    DocumentError,
    StoreUnavailableError,
    UpdateRefusedError,
    WriteVersionUnwritableError,
)
from docstore.mongo.driver import AnySession
from docstore.mongo.row_writer import UpdateResult
from docstore.store.inserting import Inserts

D = TypeVar("D", bound=Document)

#: How many operations of an unordered list are under way at once.
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Insert(Generic[D]):
    """Store a new document; see `Collection.insert`."""

    document: D


@dataclass(frozen=True, slots=True)
class Replace(Generic[D]):
    """Store what changed in a document since it was read; see `Collection.replace`."""

    document: D
    if_token: str | None = None
    unguarded: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Apply update operators to one row that matches, or to all; see `Collection.update`."""

    filter: Mapping[str, Any]
    operators: Mapping[str, Any]
    many: bool = False
    upsert: bool = False
    array_filters: Sequence[Mapping[str, Any]] | None = None
    allow_client_filter: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one row that matches, or all; see `Collection.delete_one` and `delete_many`."""

    filter: Mapping[str, Any]
    many: bool = False
    allow_client_filter: bool = False


#: One write of a list.
Operation: TypeAlias = Insert[D] | Replace[D] | Update | Delete


@dataclass(slots=True)
class BulkResult:
    """What a list of writes did; positions are those in the list, from 0."""

    #: Documents that were stored by `Insert`.
    inserted: int = 0
    #: Documents that were stored by `Replace`; those that had not changed, too.
    replaced: int = 0
    #: Rows that matched the filter of an `Update`, and those of them that were changed.
    matched: int = 0
    modified: int = 0
    #: Rows that were deleted.
    deleted: int = 0
    #: The `_id` of each row that an upsert inserted, by the position of its operation.
    upserted_ids: dict[int, Any] = field(default_factory=dict)
    #: What went wrong, by the position of the operation. After `StoreUnavailableError` it may have taken effect.
    errors: dict[int, DocstoreError] = field(default_factory=dict)
    #: The positions of operations that were not tried, after a fault.
    not_tried: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SingleWrites(Generic[D]):
    """How each sort of write is made by itself."""

    inserts: Inserts[D]
    replace: Callable[[Replace[D], AnySession | None], Awaitable[None]]
    update: Callable[[Update, AnySession | None], Awaitable[UpdateResult]]
    delete: Callable[[Delete, AnySession | None], Awaitable[int]]


class BulkRun(Generic[D]):
    """One run of a list of writes; see `Collection.bulk`."""

    def __init__(self, writes: SingleWrites[D], operations: Sequence[Operation[D]], session: AnySession | None) -> None:
        for place, operation in enumerate(operations):
            if not isinstance(operation, Insert | Replace | Update | Delete):
                msg = f"operation {place} is a {type(operation).__name__}, not an Insert, Replace, Update or Delete"
                raise TypeError(msg)
        self._writes = writes
        self._operations = operations
        self._session = session
        self._result = BulkResult()
        self._tried: set[int] = set()

    async def run(self, *, kind: str, ordered: bool) -> BulkResult:
        """Make the writes; raise `BulkFailedError` if one failed."""
        if ordered:
            await self._in_order()
        else:
            await self._in_any_order()
        result = self._result
        result.not_tried = tuple(place for place in range(len(self._operations)) if place not in self._tried)
        if result.errors:
            raise BulkFailedError(kind=kind, result=result, errors=result.errors, not_tried=result.not_tried)
        return result

    async def _in_order(self) -> None:
        for inserting, run in groupby(enumerate(self._operations), lambda pair: isinstance(pair[1], Insert)):
            pairs = list(run)
            if inserting:
                await self._insert(_inserts(pairs), ordered=True)
            for place, operation in [] if inserting else pairs:
                await self._one(place, operation)
                if self._result.errors:
                    break
            if self._result.errors:
                return

    async def _in_any_order(self) -> None:
        pairs = list(enumerate(self._operations))
        await self._insert(_inserts(pairs), ordered=False)
        others = iter([pair for pair in pairs if not isinstance(pair[1], Insert)])

        async def work() -> None:
            for place, operation in others:
                if any(isinstance(error, StoreUnavailableError) for error in self._result.errors.values()):
                    return
                await self._one(place, operation)

        if self._session is not None:
            # A session takes one call at a time.
            await work()
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(pairs))):
                group.create_task(work())

    async def _insert(self, inserts: Sequence[tuple[int, Insert[D]]], *, ordered: bool) -> None:
        """Insert the documents of several operations with one call."""
        if not inserts:
            return
        try:
            async with self._writes.inserts.writing(self._session) as control:
                await self._insert_within(inserts, control, ordered=ordered)
        except DocstoreError as error:
            if self._session is not None and self._session.in_transaction:
                raise
            for place, _ in inserts:
                self._fail(place, error)

    async def _insert_within(
        self, inserts: Sequence[tuple[int, Insert[D]]], control: ControlState, *, ordered: bool
    ) -> None:
        sent: list[int] = []
        rows: list[bytes] = []
        documents: list[D] = []
        fault: tuple[int, DocstoreError] | None = None
        for place, operation in inserts:
            try:
                rows.append(self._writes.inserts.row(operation.document, control))
            except (DocumentError, UpdateRefusedError, WriteVersionUnwritableError) as error:
                if ordered:
                    fault = place, error
                    break
                self._fail(place, error)
                continue
            sent.append(place)
            documents.append(operation.document)
        try:
            stored = await self._writes.inserts.store(documents, rows, ordered=ordered, session=self._session)
        except DocstoreError as error:
            for place in sent:
                self._fail(place, error)
            return
        self._result.inserted += len(stored.places)
        self._tried.update(sent[place] for place in stored.places)
        for position, refusal in stored.errors.items():
            self._fail(sent[position], refusal)
        if fault is not None and not stored.errors:
            # What stands before it in the list was to be stored.
            self._fail(*fault)

    async def _one(self, place: int, operation: Operation[D]) -> None:
        result = self._result
        self._tried.add(place)
        try:
            if isinstance(operation, Replace):
                await self._writes.replace(operation, self._session)
                result.replaced += 1
            elif isinstance(operation, Update):
                done = await self._writes.update(operation, self._session)
                result.matched += done.matched
                result.modified += done.modified
                if done.upserted_id is not None:
                    result.upserted_ids[place] = done.upserted_id
            elif isinstance(operation, Delete):
                deleted = await self._writes.delete(operation, self._session)
                # Not in one statement with the call: the sum would be that of before it, and lose what others added.
                result.deleted += deleted
        except DocstoreError as error:
            self._fail(place, error)

    def _fail(self, place: int, error: DocstoreError) -> None:
        if self._session is not None and self._session.in_transaction:
            # It has ended the transaction, and whoever runs that has to know it by its class.
            raise error
        self._tried.add(place)
        self._result.errors[place] = error


def _inserts(pairs: Iterable[tuple[int, Operation[D]]]) -> list[tuple[int, Insert[D]]]:
    return [(place, operation) for place, operation in pairs if isinstance(operation, Insert)]
