"""
Looking at the rows of a kind: how many are where, and which of them a backfill has to do.
"""

import datetime
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from docstore.backfill.patience import patiently
from docstore.backfill.putting_aside import PuttingAside
from docstore.core.coverage import Coverage, coverage_of
from docstore.core.failed_row import FailedRow
from docstore.core.kind import Kind
from docstore.core.run_scope import RunScope
from docstore.errors import UnknownVersionError
from docstore.mongo.counting import count_rows
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.selections import Selection
from docstore.mongo.unreadable_rows import unreadable_rows

_RECORDS_AT_ONCE: Final = 500


async def counted(
    database: AnyDatabase,
    kind: Kind[Any],
    now: Callable[[], datetime.datetime],
    *,
    selection: Selection | None = None,
    only: Mapping[str, Any] | None = None,
) -> Coverage:
    """
    Return where the rows of a kind (of the selection, if there is one) stand, waiting for a database that is away.

    With a condition on the tag (*only*) rows that do not meet it may be left out.
    """
    counts = await patiently(
        lambda: count_rows(
            database,
            kind=kind.name,
            collection=kind.collection,
            field=kind.version_field,
            selection=selection,
            only=only,
        )
    )
    return coverage_of(kind, counts.tags, quarantined=counts.quarantined, counted_at=now(), exact=counts.one_moment)


async def count_aside(database: AnyDatabase, scope: RunScope, *, selection: Selection | None = None) -> int:
    """
    Return how many of the rows that a run is about (of the selection, if there is one) are in quarantine.
    """
    kind = scope.kind
    quarantine = Quarantine(database, kind.name)
    number = 0
    async with aclosing(_pages(selection)) as pages:
        async for ids in pages:
            async with aclosing(quarantine.kept(kind.collection, kind.version_field, ids=ids)) as records:
                async for kept in records:
                    record = kept.record
                    number += scope.failed_here(record.version, record.target, record.direction)
    return number


async def put_unreadable_aside(
    database: AnyDatabase, kind: Kind[Any], aside: PuttingAside, *, selection: Selection | None = None
) -> None:
    """
    Record the rows whose tag says no version; reads every row (of the selection, if there is one).
    """
    errors: list[FailedRow] = []
    found = unreadable_rows(database, kind.collection, kind.version_field, selection=selection)
    async with aclosing(found) as rows:
        async for row_id, tag_type in rows:
            error = UnknownVersionError(kind=kind.name, id=row_id, found_type=tag_type, field=kind.version_field)
            errors.append(FailedRow(row_id, error))
            if len(errors) == _RECORDS_AT_ONCE:
                await aside.put(errors, version=None)
                errors = []
    await aside.put(errors, version=None)


async def _pages(selection: Selection | None) -> AsyncGenerator[list[Any] | None, None]:
    """
    Yield the ids of a selection, part by part; None once where there is none.
    """
    if selection is None:
        yield None
        return
    async with aclosing(selection.pages()) as pages:
        async for ids in pages:
            yield ids
