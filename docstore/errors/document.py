"""One row is at fault."""

from collections.abc import Sequence
from typing import Any

from docstore.errors.base import DocstoreError


class DocumentError(DocstoreError):
    """One row is at fault; every other row is unaffected."""


class NewerVersionError(DocumentError):
    """A row is above what this code knows; it is never rewritten, stripped or tagged down."""

    def __init__(self, *, kind: str, id: Any, found: int, latest: int) -> None:
        self.kind = kind
        self.id = id
        self.found = found
        self.latest = latest
        super().__init__(
            f"{kind} {id!r} is at version {found}, but this code knows versions up to {latest}",
            advice="deploy the code that knows this version, or roll its rollout back",
        )


class RetiredVersionError(DocumentError):
    """A row is below the kind's floor: the steps that could read it have been removed."""

    def __init__(self, *, kind: str, id: Any, found: int, floor: int) -> None:
        self.kind = kind
        self.id = id
        self.found = found
        self.floor = floor
        super().__init__(
            f"{kind} {id!r} is at version {found}, but this code reads versions from {floor} on",
            advice="run the backfill with code that still has the steps, then deploy this code again",
        )


class UnknownVersionError(DocumentError):
    """
    A row's tag is no positive integer, or it has none and `detect` cannot tell: nobody can know its shape.

    `found_type` is the type of the tag, or what `detect` did; `by_detect` says which of them.
    """

    def __init__(self, *, kind: str, id: Any, found_type: str, field: str, by_detect: bool = False) -> None:
        self.kind = kind
        self.id = id
        self.found_type = found_type
        self.field = field
        self.by_detect = by_detect
        what = (
            f"has no {field!r}, and {found_type}"
            if by_detect
            else f"has a {field!r} that is no positive integer (its type is {found_type})"
        )
        super().__init__(f"{kind} {id!r} {what}")


class OperationRefusedError(DocumentError):
    """An operation met a row whose shape it does not accept; the row is unchanged."""

    def __init__(self, *, operation: str, path: str, found: str, expected: str) -> None:
        self.operation = operation
        self.path = path
        self.found = found
        self.expected = expected
        super().__init__(f"{operation} refuses {path!r}: found {found}, expected {expected}")


class UpgradeFailedError(DocumentError):
    """A step could not bring a row to the version that it produces; the stored row is unchanged."""

    def __init__(
        self,
        *,
        kind: str,
        id: Any,
        version: int,
        step: int,
        error: str,
        path: str | None = None,
        direction: str = "upgrade",
    ) -> None:
        self.kind = kind
        self.id = id
        self.version = version
        self.step = step
        self.error = error
        self.path = path
        where = "" if path is None else f" at {path!r}"
        super().__init__(f"{kind} {id!r} (version {version}): the {direction} of step {step} failed{where}: {error}")


class DowngradeFailedError(UpgradeFailedError):
    """A step could not bring a row back to the version before it; the stored row is unchanged."""

    def __init__(
        self,
        *,
        kind: str,
        id: Any,
        version: int,
        step: int,
        error: str,
        path: str | None = None,
    ) -> None:
        super().__init__(kind=kind, id=id, version=version, step=step, error=error, path=path, direction="downgrade")


class NotExpressibleError(DowngradeFailedError):
    """A row holds something, at `path`, that the version below `step` has no place for; nothing was trimmed (P11)."""

    def __init__(self, *, kind: str, id: Any, version: int, step: int, path: str) -> None:
        error = f"version {step - 1} has no place for what is there"
        super().__init__(kind=kind, id=id, version=version, step=step, error=error, path=path)


class InvalidDocumentError(DocumentError):
    """A row at the latest shape does not fit the model; `problems` names field paths and pydantic error types."""

    def __init__(self, *, kind: str, id: Any, version: int, problems: Sequence[str]) -> None:
        self.kind = kind
        self.id = id
        self.version = version
        self.problems = tuple(problems)
        super().__init__(f"{kind} {id!r} (stored at version {version}) does not fit the model: {'; '.join(problems)}")


class WorkerDiedError(DocumentError):
    """Workers died, or did not answer for longer than a lease, while they worked on this row and on nothing else."""

    def __init__(self, *, kind: str, id: Any, version: int | None, deaths: int) -> None:
        self.kind = kind
        self.id = id
        self.version = version
        self.deaths = deaths
        super().__init__(
            f"{kind} {id!r}: {deaths} workers died while they worked on this row alone",
            advice="look at the memory that a worker may use and at how the process ended, then try the row again",
        )


class UnstorableValueError(DocumentError):
    """A value cannot be stored as BSON; nothing was written. Carries the field path and the value's type."""

    def __init__(self, *, kind: str, path: str, found: str) -> None:
        self.kind = kind
        self.path = path
        self.found = found
        super().__init__(
            f"{kind} cannot be stored: {path!r} holds {found}, which BSON has no place for",
            advice="convert it, give the field a serializer, or use one of docstore's annotated types",
        )
