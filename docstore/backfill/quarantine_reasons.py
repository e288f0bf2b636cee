"""
Why a kind's rows are in quarantine, reason by reason.
"""

import datetime
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ConfigDict

from docstore.core.kind import Kind
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.quarantine import KeptRecord, Quarantine

#: Reasons that are told apart; a path that holds keys of the rows would make one reason of every row.
_REASONS: Final = 1000


class QuarantineReason(BaseModel):
    """
    How many rows are in quarantine for one reason. Holds no value of any row.
    """

    model_config = ConfigDict(frozen=True)

    #: Where they stand; null where nobody knows.
    version: int | None
    #: The version that they were to be brought to.
    target: int
    #: The version that the step at fault produces; null where no step is.
    step: int | None
    #: The class of the error, and the field at fault where one is known.
    error: str
    path: str | None
    rows: int
    first_seen: datetime.datetime
    last_seen: datetime.datetime


_Reason: TypeAlias = tuple[int | None, int, int | None, str, str | None]


@dataclass(slots=True)
class _Tally:
    rows: int
    first_seen: datetime.datetime
    last_seen: datetime.datetime


async def quarantine_reasons(database: AnyDatabase, kind: Kind[Any]) -> Sequence[QuarantineReason]:
    """
    Return why rows of a kind are in quarantine, the reason of the most rows first; reads records, and of rows the tag.

    Rows are counted as coverage counts them. From the thousandth reason on, paths are left out.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: A record has a format that this release does not know.
    """
    found: dict[_Reason, _Tally] = {}
    async with aclosing(Quarantine(database, kind.name).kept(kind.collection, kind.version_field)) as records:
        async for kept in records:
            _add(found, kept)
    return [
        QuarantineReason(
            version=version,
            target=target,
            step=step,
            error=error,
            path=path,
            rows=tally.rows,
            first_seen=tally.first_seen,
            last_seen=tally.last_seen,
        )
        for (version, target, step, error, path), tally in sorted(found.items(), key=lambda each: -each[1].rows)
    ]


def _add(found: dict[_Reason, _Tally], kept: KeptRecord) -> None:
    record = kept.record
    reason: _Reason = (record.version, record.target, record.step, record.error, record.path)
    if reason not in found and len(found) >= _REASONS:
        reason = (*reason[:4], None)
    tally = found.setdefault(reason, _Tally(0, kept.first_seen, kept.last_seen))
    tally.rows += 1
    tally.first_seen = min(tally.first_seen, kept.first_seen)
    tally.last_seen = max(tally.last_seen, kept.last_seen)
