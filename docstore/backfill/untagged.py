"""
Rows without a tag that need nothing: a count cannot tell where they stand, so each of them is looked at.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from docstore.backfill.context import RunContext
from docstore.backfill.patience import patiently
from docstore.core.coverage import Coverage
from docstore.core.direction import Direction
from docstore.core.id_range import BEGINNING
from docstore.core.row_faults import decoded
from docstore.errors import DocumentError, NewerVersionError


@dataclass(frozen=True, slots=True)
class UntaggedElsewhere:
    """
    Rows without a tag that a run has nothing to do with, as `detect` sees it.
    """

    #: All of them.
    rows: int = 0
    #: Those above latest.
    newer: int = 0


async def untagged_elsewhere(context: RunContext, coverage: Coverage) -> UntaggedElsewhere:
    """
    Return how many rows without a tag need nothing; reads all that have none, if `detect` is to tell.
    """
    if context.kind.detect is None or not coverage.untagged:
        return UntaggedElsewhere()
    source = context.old_rows(None)
    after: Any = BEGINNING
    here = elsewhere = newer = 0
    while (page := await patiently(partial(source.read, after, size=context.page()))).rows:
        for raw in page.rows:
            try:
                version = context.kind.version(decoded(raw, context.kind))
            except NewerVersionError:
                newer += 1
            except DocumentError:
                here += 1
            else:
                is_elsewhere = _is_elsewhere(version, context)
                elsewhere += is_elsewhere
                here += not is_elsewhere
        after = page.last
    # Rows that came since *coverage* was counted explain none of those that were there.
    rows = min(elsewhere + newer, max(coverage.untagged - here, 0))
    return UntaggedElsewhere(rows=rows, newer=newer)


def _is_elsewhere(version: int, context: RunContext) -> bool:
    if context.direction is Direction.DOWN:
        return version <= context.target
    return version > context.target
