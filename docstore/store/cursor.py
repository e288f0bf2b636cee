"""The rows that a query yields, as documents at the latest shape."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar

import structlog

from docstore.core.stale_branch import Way
from docstore.errors import CursorBrokenError, DocstoreError, DocumentError
from docstore.store.asked import Course

T = TypeVar("T")

#: What a query does with a row that cannot be read: stop there, or leave it out and report it.
OnError: TypeAlias = Literal["raise", "skip"]

#: Takes the error of a row that is left out.
Report: TypeAlias = Callable[[DocumentError], None]

#: Turns a batch of stored rows into documents; without a report the first error is raised.
ReadBatch: TypeAlias = Callable[[bytes, Report | None], Iterator[T]]

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that could not be read: its `_id` (None where even that could not be read) and the error's type."""

    id: Any
    error: str


class Cursor(Generic[T]):
    """
    The documents that a query yields, in order; each is yielded once.

    Nothing is asked of the server before the first document is wanted. At most one batch of the server's (16 MB) is
    held, unless `to_list` collects everything. Like a driver's cursor it goes forward only: a second loop goes on
    where the first one stopped. `async with` or `close` give the server's cursor back early; a cursor that was read
    to its end, or stopped by an error, is closed.

    Where a fetch failed or was cancelled, every further call raises `CursorBrokenError`: nobody knows what is left.

    A row that cannot be read (`DocumentError`) is raised where it stands, after every row before it was yielded, and
    ends the iteration. With `on_error="skip"` it is left out, logged without its values, and listed in `skipped`.
    """

    def __init__(
        self,
        open_batches: Callable[[Report | None], AsyncGenerator[bytes, None]],
        read_batch: ReadBatch[T],
        *,
        kind: str,
        on_error: OnError = "raise",
        course: Course | None = None,
    ) -> None:
        report = self._skip if on_error == "skip" else None
        self._kind = kind
        self._course = course or Course()
        self._report: Report | None = report
        self._read_batch = read_batch
        self._batches: AsyncGenerator[bytes, None] = open_batches(report)
        self._rows: Iterator[T] = iter(())
        self._skipped: list[SkippedRow] = []
        self._broken = False
        self._tell: Callable[[DocstoreError], None] | None = None

    def tell(self, whom: Callable[[DocstoreError], None]) -> None:
        """Tell *whom* of the error that ends the query, if one does."""
        self._tell = whom

    @property
    def skipped(self) -> tuple[SkippedRow, ...]:
        """The rows left out so far, in the order in which they were met; empty unless `on_error="skip"`."""
        return tuple(self._skipped)

    @property
    def way(self) -> Way | None:
        """How the query is answered; None before the first document was wanted, unless it is known without a look."""
        return self._course.way

    @property
    def client_rows(self) -> int:
        """
        How many old rows the query has Python upgrade and match; known when the first document comes.

        0 unless `allow_client_filter=True` was given and is needed.
        """
        return self._course.client_rows

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            try:
                return next(self._rows)
            except StopIteration:
                await self._fetch()
            except DocumentError:
                await self.close()
                raise

    async def to_list(self, length: int | None = None) -> list[T]:
        """
        Return the next *length* documents, or all that are left.

        Raises:
            DocumentError: A row cannot be read; with `on_error="skip"` such rows are left out instead.
            StaleQueryError: See `Queries.find`.
        """
        documents: list[T] = []
        if length is not None:
            while len(documents) < length:
                try:
                    documents.append(await anext(self))
                except StopAsyncIteration:
                    break
            return documents
        try:
            documents.extend(self._rows)
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    documents.extend(self._read_batch(await self._next_batch(), self._report))
        except DocumentError:
            await self.close()
            raise
        return documents

    async def close(self) -> None:
        """Give up the rest; doing so twice is no mistake."""
        self._rows = iter(())
        await self._batches.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _fetch(self) -> None:
        self._rows = self._read_batch(await self._next_batch(), self._report)

    async def _next_batch(self) -> bytes:
        """Read the next batch; `StopAsyncIteration` passes through at the end."""
        if self._broken:
            raise CursorBrokenError(kind=self._kind)
        try:
            return await anext(self._batches)
        except StopAsyncIteration:
            raise
        except BaseException as error:
            if self._tell is not None and isinstance(error, DocstoreError):
                self._tell(error)
            # Whatever broke off the generator, a cancellation too, it now looks like one that came to its end.
            self._broken = True
            raise

    def _skip(self, error: DocumentError) -> None:
        row = SkippedRow(id=getattr(error, "id", None), error=type(error).__name__)
        self._skipped.append(row)
        _log.warning("row_skipped", kind=self._kind, id=row.id, error=row.error, reason=str(error))
