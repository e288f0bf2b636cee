"""
Joined rows that only Python can upgrade: read before the pipeline, and sent along in the place of the stored ones.
"""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Final

from docstore.core.bson_values import RawDocument, encode
from docstore.core.placed_rows import PlacedRows
from docstore.core.upgrading_stages import UpgradingStages
from docstore.errors import StaleQueryError
from docstore.mongo.moment import Moment
from docstore.store.aggregated_rows import Side
from docstore.store.aggregating_in_client import upgraded_rows
from docstore.store.client_filter import parts_of
from docstore.store.upgrading_sides import MAX_DECLINED_ROWS, bounds, stale_side

#: How many bytes of joined rows may be sent along with a pipeline, as often as it joins them, in all.
JOINED_BYTES: Final = 4 * 1024 * 1024


class JoinedRows:
    """
    Reads the joined rows of one pipeline that a server leaves as they are, within a bound.

    Only what the pipeline looks at is kept of them. A join asks them once for each document that comes to it, so they
    cannot be taken in parts.

    Args:
        moment: When they are read.
        by_id: Whether the pipeline compares ids as the joined collections do; rows cannot be told apart otherwise.
    """

    def __init__(self, moment: Moment, *, by_id: bool) -> None:
        self._moment = moment
        self._by_id = by_id
        self._left = JOINED_BYTES

    async def count(self, side: Side, way: UpgradingStages, *, in_client: bool) -> int:
        """
        Return how many rows of a side Python has to upgrade.

        Args:
            side: The rows.
            way: How the others come to latest.
            in_client: Whether the caller allows any number.

        Raises:
            StaleQueryError: They cannot be sent along.
        """
        if way.declined is None:
            return 0
        rows = await side.source.count(way.declined, session=self._moment.session)
        reason = None
        if rows and not self._by_id:
            reason = "the collection compares text by rules of its own, which do not tell the ids of joined rows apart"
        elif rows > MAX_DECLINED_ROWS and not in_client:
            reason = f"they are joined and have to be upgraded in Python, more than {bounds()} of them"
        if reason is not None:
            raise await stale_side(side, way.declined, reason, self._moment, client_can=self._by_id)
        return rows

    async def placed(self, side: Side, filter: Mapping[str, Any], *, times: int) -> PlacedRows:
        """
        Return the rows that match *filter* at latest.

        Args:
            side: Whose rows.
            filter: Which.
            times: How often the pipeline joins them.

        Raises:
            StaleQueryError: What the pipeline looks at of them is too much to be sent along.
            DocumentError: One of them has no latest shape.
        """
        documents: list[RawDocument] = []
        async with aclosing(parts_of(side.source, filter, session=self._moment.session)) as parts:
            async for raws in parts:
                for row in upgraded_rows(raws, side.kind, None):
                    documents.append(_looked_at(row, side))
                    self._left -= times * len(encode(documents[-1]))
                    if self._left < 0:
                        raise await self._too_much(side, filter)
        return PlacedRows(side.kind.version_field, side.kind.latest, documents)

    async def _too_much(self, side: Side, filter: Mapping[str, Any]) -> StaleQueryError:
        reason = (
            f"what the pipeline looks at of those that are joined and have to be upgraded in Python is more than "
            f"{JOINED_BYTES >> 20} MB (a $project of fewer fields within the join helps)"
        )
        return await stale_side(side, filter, reason, self._moment)


def _looked_at(row: RawDocument, side: Side) -> RawDocument:
    """Return of a row what a pipeline looks at, whole fields."""
    if side.whole:
        return row
    names = {"_id", *(path[0] for path in side.paths.paths)}
    return {name: value for name, value in row.items() if name in names}
