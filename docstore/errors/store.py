"""The database, or what was asked of it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from docstore.errors.base import DocstoreError


class StoreError(DocstoreError):
    """The database, or what was asked of it, is at fault."""


class StoreUnavailableError(StoreError):
    """The database could not be reached, or did not answer in time; the same call may succeed later."""

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the database is not reachable: {reason}")


class StoreTimeoutError(StoreUnavailableError):
    """The server gave up a call because it took longer than it was allowed to; a smaller one may succeed."""


class StoreRejectedError(StoreError):
    """The database answered, and refused; the same call will be refused again."""

    def __init__(self, *, reason: str, code: int | None = None) -> None:
        self.reason = reason
        self.code = code
        suffix = "" if code is None else f" (code {code})"
        super().__init__(f"the database refused the call: {reason}{suffix}")


class FencedError(StoreRejectedError):
    """
    The fence of a collection does not let a row in; the row is as it was.

    Carries the version that was to be stored (None where the tag was missing or no int or long; `found` says what it
    was), and what the fence lets in, from `low` to `high`.
    """

    #: DocumentValidationFailure, also where a user's own rules refuse a row.
    CODE: ClassVar[int] = 121

    def __init__(self, *, kind: str, version: int | None, found: str, low: int, high: int) -> None:
        self.kind = kind
        self.version = version
        self.found = found
        self.low = low
        self.high = high
        self.reason = "the fence does not let the row in"
        self.code = self.CODE
        what = f"with a tag that is {found}" if version is None else f"at version {version}"
        StoreError.__init__(
            self,
            f"{kind} cannot be stored {what}: its fence lets versions {low} to {high} in",
            advice=f"docstore fence show {kind} tells what it is to let in, and whether it is as it was recorded",
        )


class InvalidUriError(StoreError):
    """A connection string cannot be used; it is shown without its password."""

    def __init__(self, *, uri: str, reason: str) -> None:
        self.uri = uri
        self.reason = reason
        super().__init__(f"the URI {uri!r} cannot be used: {reason}")


class DocumentNotFoundError(StoreError):
    """No row has this id."""

    def __init__(self, *, kind: str, id: Any) -> None:
        self.kind = kind
        self.id = id
        super().__init__(f"there is no {kind} {id!r}")


class NotQuarantinedError(StoreError):
    """
    A quarantine record was asked for that is not there.
    """

    def __init__(self, *, kind: str, id: Any) -> None:
        self.kind = kind
        self.id = id
        super().__init__(
            f"{kind} {id!r} is not in quarantine",
            advice=f"docstore quarantine list {kind} shows what is; an ObjectId is typed as its 24 hex digits, "
            "text that looks like something else in quotes",
        )


class DocumentExistsError(StoreError):
    """A unique index (most often the id) already has such a row; `index` names it where the server tells."""

    def __init__(self, *, kind: str, id: Any, index: str | None = None) -> None:
        self.kind = kind
        self.id = id
        self.index = index
        which = "" if index is None else f" (index {index!r})"
        super().__init__(f"{kind} {id!r} cannot be stored: a row with the same unique key exists{which}")


class ConflictError(StoreError):
    """The row changed (or went) since it was read; nothing was written."""

    def __init__(self, *, kind: str, id: Any, tries: int = 1) -> None:
        self.kind = kind
        self.id = id
        self.tries = tries
        often = "" if tries == 1 else f" (tried {tries} times)"
        super().__init__(
            f"{kind} {id!r} changed since it was read{often}",
            advice="read it again and repeat the change, or use modify(), which does both",
        )


class UnguardedReplaceError(StoreError):
    """An object that was never read through the store cannot be replaced with a guard."""

    def __init__(self, *, kind: str, id: Any) -> None:
        self.kind = kind
        self.id = id
        super().__init__(
            f"{kind} {id!r} was not read through this store, so nothing tells whether the stored row changed",
            advice="use insert() for a new row, replace(if_token=...) with a token, or replace(unguarded=True)",
        )


class BulkFailedError(StoreError):
    """
    Some of a list of writes failed; the others took effect, but for those that were not tried.

    Carries the errors by the positions of their operations, the positions that were not tried, and the result.
    """

    def __init__(
        self, *, kind: str, result: Any, errors: Mapping[int, DocstoreError], not_tried: Sequence[int]
    ) -> None:
        self.kind = kind
        self.result = result
        self.errors = dict(errors)
        self.not_tried = tuple(not_tried)
        first = min(self.errors)
        super().__init__(
            f"{len(self.errors)} writes of {kind} failed, and {len(self.not_tried)} were not tried; "
            f"operation {first}: {self.errors[first]}"
        )


class UpdateRefusedError(StoreError):
    """An update was asked for that could break a promise; nothing was written."""

    def __init__(self, *, kind: str, reason: str) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(f"the update of {kind} is refused: {reason}")


class QueryRefusedError(StoreError):
    """
    A query was asked that docstore cannot answer, whatever is stored.
    """

    def __init__(self, *, kind: str, reason: str, advice: str | None = None) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(f"the query of {kind} is refused: {reason}", advice=advice)


class CursorBrokenError(StoreError):
    """A cursor was used again after a fetch of it had failed or been cancelled; rows may be left unread."""

    def __init__(self, *, kind: str) -> None:
        self.kind = kind
        super().__init__(
            f"a cursor of {kind} was broken off by an earlier fault, so nobody knows whether rows are left",
            advice="run the query again",
        )


class StaleQueryError(StoreError):
    """
    A query names paths that a step changes while old rows are stored, and those rows cannot be brought along.

    Carries the paths, the stored versions below latest, how many rows stand there, the reason, and the ways out.
    """

    def __init__(
        self,
        *,
        kind: str,
        paths: Sequence[str],
        versions: Sequence[int],
        rows: int,
        reason: str,
        client_can: bool = False,
    ) -> None:
        self.kind = kind
        self.paths = tuple(paths)
        self.versions = tuple(versions)
        self.rows = rows
        self.reason = reason
        backfill, rewrite = f"run `docstore backfill start {kind} --wait`", "query on paths that no step changes"
        option = (f"allow_client_filter=True reads and upgrades these {rows} rows",) if client_can else ()
        self.ways_out = (backfill, *option, rewrite)
        super().__init__(
            f"a query of {kind} on {', '.join(map(repr, self.paths))} would miss rows: {rows} rows are stored at "
            f"version {', '.join(map(str, self.versions))}, and {reason}",
            advice=", or ".join(self.ways_out),
        )
