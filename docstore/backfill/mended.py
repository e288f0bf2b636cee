"""
Whether a row in quarantine was mended by hand: it was changed since it failed, and comes through now. Pure.
"""

from typing import Any, Final

from docstore.backfill.directing import brought
from docstore.backfill.fitting import misfit
from docstore.core.direction import Direction
from docstore.core.failed_row import digest_of
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded
from docstore.errors import DocumentError, FencedError, StoreRejectedError, WorkerDiedError
from docstore.mongo.quarantine import QuarantineRecord

#: What cannot be tried in memory: the server refused the row, or trying it may kill this process.
_NOT_TRIED: Final = frozenset({StoreRejectedError.__name__, FencedError.__name__, WorkerDiedError.__name__})


def is_mended(kind: Kind[Any], record: QuarantineRecord, raw: bytes) -> bool:
    """
    Tell whether the stored row *raw* is another one than failed, and would come through.

    A row that is as it was is not tried: whether its step was mended is for `quarantine retry` to find out.
    """
    if record.digest is None or record.digest == digest_of(raw) or record.error in _NOT_TRIED:
        return False
    if not kind.floor <= record.target <= kind.latest:
        return False
    try:
        row = decoded(raw, kind)
        if record.direction is Direction.ADOPT:
            kind.version(row)
            return True
    except DocumentError:
        return False
    after = brought(kind, row, record.target)
    if isinstance(after, DocumentError):
        return False
    return record.target != kind.latest or misfit(kind, after) is None
