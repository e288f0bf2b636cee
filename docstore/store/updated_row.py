"""
What an update by operators did to one row.
"""

from dataclasses import dataclass

from docstore.mongo.row_writer import UpdateResult


@dataclass(frozen=True, slots=True)
class UpdatedRow:
    """What an update did to one row: as it was stored before, and as it is now. None: there was none, or not asked."""

    result: UpdateResult
    before: bytes | None = None
    after: bytes | None = None
