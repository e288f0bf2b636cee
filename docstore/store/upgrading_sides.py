"""
How the rows of one kind that take part in an aggregation come to the latest shape, at one moment.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from docstore.core.newer_steps import changing, standing
from docstore.core.query import shown
from docstore.core.row_faults import decoded
from docstore.core.stale_branch import start
from docstore.core.stale_query import other_versions, rows_at
from docstore.core.upgrading_stages import UpgradingStages, upgrading_stages
from docstore.errors import DocumentError, NotCompilableError, StaleQueryError
from docstore.mongo.driver import AnySession
from docstore.mongo.moment import Moment, Reads
from docstore.mongo.reading import rows_of
from docstore.mongo.stored_tags import comparable_tag, stored_tags
from docstore.store.aggregated_rows import Side
from docstore.store.cursor import Report

#: How many rows Python may upgrade and send along, and their size in bytes as they are stored.
MAX_DECLINED_ROWS: Final = 1000
MAX_DECLINED_BYTES: Final = 4 * 1024 * 1024


async def tags_of(side: Side, session: AnySession | None) -> list[Any]:
    """Return the tags that are stored, at least among the rows that take part."""
    # A narrower look is quicker where an id is given; elsewhere it would keep the index on the tag from answering.
    narrowed = side.narrowed if "_id" in side.narrowed else None
    return await stored_tags(side.source, side.kind.version_field, narrowed=narrowed, session=session)


async def meets(asked: Mapping[str, Any], side: Side, report: Report | None, moment: Moment) -> bool:
    """Raise the error of a row that takes part and that this code cannot read; or report all, and tell of it."""
    met = False
    async with aclosing(side.source.find(asked, session=moment.session)) as found:
        async for batch in found:
            for raw in rows_of(batch):
                met = True
                try:
                    standing(side.kind, decoded(raw, side.kind))
                except DocumentError as error:
                    if report is None:
                        raise
                    report(error)
    return met


async def way_of(
    side: Side, tags: Sequence[Any], moment: Moment, *, in_client: bool, residues: bool
) -> UpgradingStages | None:
    """Return how the side's old rows come to latest; None where none matter."""
    kind = side.kind
    there = {comparable_tag(tag) for tag in tags}
    mattering = [version for version in other_versions(kind) if version in there and side.matters(version)]
    if not mattering:
        return None
    old = rows_at(kind, mattering)
    reason = None
    client_can = False
    if side.paths.first_only:
        reason = f"{', '.join(sorted(side.paths.first_only))} cannot be asked of a row after its upgrade"
    elif side.follows_old is not None:
        reason = side.follows_old
    elif side.by_position is not None and side.changes(side.by_position):
        reason = "the array position in the foreignField cannot be asked of a row after its upgrade"
    elif moment.reads is Reads.NOTHING:
        reason = "a standalone server cannot read them all at one moment (a replica set can)"
    way = None
    if reason is None:
        try:
            python_only = await side.source.has_collation()
            way = upgrading_stages(
                kind,
                mattering,
                side.paths.paths,
                python_only=python_only,
                allow_client=in_client,
                residues=residues,
            )
        except NotCompilableError as error:
            reason = f"{error.operation}: {error.reason}"
            client_can = True
    if reason is not None:
        there_still = {"$and": [old, side.narrowed]}
        if not await side.source.holds(there_still, session=moment.session):
            return None
        raise await stale_side(side, old, reason, moment, client_can=client_can)
    return way


async def declined_rows(side: Side, filter: Mapping[str, Any], moment: Moment) -> list[bytes] | None:
    """Return the rows that Python has to upgrade; None where they are too many to be sent along."""
    rows: list[bytes] = []
    size = 0
    async with aclosing(side.source.find(filter, session=moment.session)) as found:
        async for batch in found:
            rows.extend(rows_of(batch))
            size += len(batch)
            if len(rows) > MAX_DECLINED_ROWS or size > MAX_DECLINED_BYTES:
                return None
    return rows


async def stale_side(
    side: Side, filter: Mapping[str, Any], reason: str, moment: Moment, *, client_can: bool = False
) -> StaleQueryError:
    """Return the refusal of an aggregation, with the number of rows that match *filter*."""
    kind = side.kind
    rows = await side.source.count({"$and": [filter, side.narrowed]}, session=moment.session)
    touched = side.paths.touched(changing(kind))
    versions = sorted({start(kind, version) for version in other_versions(kind) if side.matters(version)})
    return StaleQueryError(
        kind=kind.name, paths=shown(touched), versions=versions, rows=rows, reason=reason, client_can=client_can
    )


def bounds() -> str:
    """Return how many rows may be sent along, for a reason of a refusal."""
    return f"{MAX_DECLINED_ROWS} rows or {MAX_DECLINED_BYTES >> 20} MB"
