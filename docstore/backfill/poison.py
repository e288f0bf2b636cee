"""From the error of a row to the record that puts it aside."""

from typing import Any

from docstore.core.direction import Direction
from docstore.errors import (
    DocstoreError,
    InvalidDocumentError,
    RetiredVersionError,
    UnknownVersionError,
    UpgradeFailedError,
    WorkerDiedError,
)
from docstore.mongo.quarantine import QuarantineRecord


def record_of(
    error: DocstoreError,
    *,
    id: Any,
    target: int,
    direction: Direction,
    version: int | None,
    with_text: bool,
    digest: bytes | None = None,
) -> QuarantineRecord:
    """
    Return the record of a row that cannot be upgraded.

    Args:
        error: What was raised for it.
        id: The row's id.
        target: The version that it was to be brought to.
        direction: Where the run took rows.
        version: Where it stands, for errors that do not say.
        with_text: Keep the text of the error that the user's code or the model raised. It can hold values of the row.
        digest: Tells whether the row has been changed since; None where nobody knows its bytes.
    """
    step: int | None = None
    path: str | None = None
    reason = str(error)
    match error:
        case UpgradeFailedError():
            version, step, path, reason = error.version, error.step, error.path, error.error
        case InvalidDocumentError():
            version, path = error.version or version, _first_path(error)
            reason = "; ".join(error.problems)
        case RetiredVersionError():
            version, reason = error.found, f"below the floor {error.floor}"
        case UnknownVersionError():
            version, path = None, error.field
            reason = error.found_type if error.by_detect else f"the tag is of type {error.found_type}"
        case WorkerDiedError():
            reason = f"{error.deaths} workers died, or did not answer for a whole lease, while each worked on it alone"
        case _:
            pass
    cause = error.__cause__
    return QuarantineRecord(
        row_id=id,
        version=version,
        target=target,
        direction=direction,
        step=step,
        error=type(error).__name__,
        reason=reason,
        path=path,
        text=f"{type(cause).__name__}: {cause}" if with_text and cause is not None else None,
        digest=digest,
    )


def _first_path(error: InvalidDocumentError) -> str | None:
    _, separator, path = error.problems[0].partition(" @ ")
    return path if separator else None
