"""
The rows that a run is limited to, as its record names them.
"""

from dataclasses import dataclass
from typing import Any

from bson.objectid import ObjectId

from docstore.core.record_format import known_fields


@dataclass(frozen=True, slots=True)
class SelectedRows:
    """
    A run that is about some rows only: how they were chosen, and how many there were when it was asked for.
    """

    #: Under which their ids are kept.
    id: ObjectId
    #: How many ids there are, each counted once.
    ids: int
    #: How many of them named a row.
    rows: int
    #: Whether they were picked at random; else somebody named them.
    random: bool
    #: Tells one choice from another: the same command, typed again, is about the same rows.
    mark: str

    @property
    def missing(self) -> int:
        """
        How many ids named no row.
        """
        return self.ids - self.rows

    @classmethod
    def of(cls, stored: dict[str, Any] | None) -> "SelectedRows | None":
        """
        Return what a run's record says; None where it is about every row.
        """
        return None if stored is None else cls(**known_fields(cls, stored))
