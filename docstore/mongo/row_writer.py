"""What writing rows means, whichever driver does it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from docstore.core.bson_values import RawDocument
from docstore.errors import StoreError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import SortKeys

T = TypeVar("T")


class DuplicateRowError(Exception):
    """
    A unique index has such a row already; a signal between this package and its callers, who name the document.

    The driver's error is not its cause: that one holds the values.
    """

    def __init__(self, index: str | None) -> None:
        self.index = index
        super().__init__(index)


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What an update did."""

    #: Rows that matched the filter.
    matched: int
    #: Rows that were changed by it; an update can leave a row as it was.
    modified: int
    #: The `_id` of the row that an upsert inserted, or None.
    upserted_id: Any = None


@dataclass(frozen=True, slots=True)
class Inserted:
    """What an insert of several rows did, by their positions."""

    stored: frozenset[int]
    #: The positions at fault, and the index that has such a row already where the server names it.
    duplicates: Mapping[int, str | None]
    #: What the database said of rows that it refused for another reason.
    refusals: Mapping[int, StoreError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewrite of several rows did; those in neither number were changed or deleted meanwhile."""

    #: Rows that are now as they were to be.
    rewritten: int
    #: Rows that the database refused, and what it said of the first of them.
    refused: int = 0
    refusal: StoreError | None = None


class RowWriter(Protocol):
    """
    Writes rows of one collection.

    Rows come and go as bytes, exactly as they are stored. Driver errors come out as `StoreUnavailableError` (also
    where nobody knows whether the write took effect) and `StoreRejectedError`.
    """

    async def current(self, id: Any, *, session: AnySession | None) -> bytes | None:
        """Return the row as the primary has it now, or None."""
        ...

    async def those(self, ids: Sequence[Any], *, session: AnySession | None) -> list[bytes]:
        """Return those of the rows with these ids that are there, as the primary has them now."""
        ...

    async def insert(self, rows: Sequence[bytes], *, ordered: bool, session: AnySession | None) -> Inserted:
        """Insert rows; where *ordered*, nothing after the first fault. Each begins with its `_id`."""
        ...

    async def rewrite(self, raw: bytes, after: RawDocument, *, session: AnySession | None) -> bytes | None:
        """
        Turn the row *raw* into *after* if it is still exactly *raw*; write nothing if they do not differ.

        Returns:
            The row as it is stored now, or None if the row was changed or deleted meanwhile.

        Raises:
            DuplicateRowError: A unique index has such a row already.
        """
        ...

    async def rewrite_many(self, pairs: Sequence[tuple[bytes, RawDocument]]) -> Rewritten:
        """Rewrite several rows, each by itself and only if it is still what it was; return how many were."""
        ...

    async def overwrite(
        self, id: Any, row: RawDocument, *, field: str, versions: Sequence[int], session: AnySession | None
    ) -> bytes | None:
        """
        Store *row* in place of the row with this id if its tag is missing or one of *versions*.

        What the stored row keeps of versions above those stays in its residue.
        """
        ...

    async def update(
        self,
        filter: Mapping[str, Any],
        operators: Mapping[str, Any],
        *,
        field: str,
        versions: Sequence[int],
        untagged: bool = False,
        many: bool,
        upsert: bool,
        array_filters: Sequence[Mapping[str, Any]] | None,
        session: AnySession | None,
    ) -> UpdateResult:
        """
        Apply update operators to rows whose tag is one of *versions* (or missing, if *untagged*), each atomically.

        Raises:
            DuplicateRowError: A unique index has such a row already.
        """
        ...

    async def find_and_update(
        self,
        filter: Mapping[str, Any],
        operators: Mapping[str, Any],
        *,
        field: str,
        versions: Sequence[int],
        untagged: bool = False,
        sort: SortKeys,
        after: bool,
        upsert: bool,
        array_filters: Sequence[Mapping[str, Any]] | None,
        session: AnySession | None,
    ) -> bytes | None:
        """
        Apply update operators to the first row whose tag is one of *versions*, atomically.

        Returns:
            The row as it was, or as it is *after*; None where none matched, or before an upsert inserted one.

        Raises:
            DuplicateRowError: A unique index has such a row already.
        """
        ...

    async def in_transaction(
        self, work: Callable[[AnySession | None], Awaitable[T]], *, session: AnySession | None
    ) -> T:
        """Run *work* at one moment, all of it or nothing; it may run more than once."""
        ...

    async def outside(
        self,
        filter: Mapping[str, Any],
        *,
        field: str,
        versions: Sequence[int],
        untagged: bool,
        sort: SortKeys = (),
        session: AnySession | None,
    ) -> bytes | None:
        """
        Return the first row that matches and whose tag is none of *versions* (nor missing, if *untagged*), or None.
        """
        ...

    async def delete(self, id: Any, *, session: AnySession | None) -> bool:
        """Delete a row; tell whether there was one."""
        ...

    async def delete_matching(
        self,
        filter: Mapping[str, Any],
        *,
        field: str,
        versions: Sequence[int],
        untagged: bool,
        many: bool,
        session: AnySession | None,
    ) -> int:
        """Delete one row, or all, that match and whose tag is one of *versions* (or missing, if *untagged*)."""
        ...

    async def delete_exactly(self, rows: Sequence[bytes], *, session: AnySession | None) -> int:
        """Delete rows, each only if it is still exactly what it was; return how many were."""
        ...
