"""
What a dry run has found.
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_serializer

from docstore.backfill.selection_status import SelectionStatus
from docstore.core.bson_values import RawDocument
from docstore.core.coverage import VersionCount
from docstore.core.direction import Direction
from docstore.core.extended_json import to_text


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)

    @field_serializer("id", "before", "after", when_used="json", check_fields=False)
    def _extended(self, value: Any) -> Any:
        return json.loads(to_text(value))


class Change(_Part):
    """
    What would become of one top-level field.
    """

    path: str
    change: Literal["added", "removed", "changed"]
    #: In how many of the rows that were looked at.
    rows: int


class Failure(_Part):
    """
    One row that cannot be brought to the target; it would go to quarantine. Holds no values of the row.
    """

    id: Any
    version: int | None
    step: int | None
    error: str
    reason: str
    path: str | None


class PathDifference(_Part):
    """
    One row of which the server and Python make different things. A run would stop at it.
    """

    id: Any
    version: Any
    paths: tuple[str, ...]


class Example(_Part):
    """
    One row before and after, with all its values.
    """

    id: Any
    before: RawDocument
    after: RawDocument


class DryRunResult(_Part):
    """
    What a backfill would do, as far as the rows that were looked at can tell.
    """

    kind: str
    target: int
    #: Whether rows would go up or down to it.
    direction: Direction
    #: All rows on that side of the target, counted exactly; of a selection, those of it.
    versions: tuple[VersionCount, ...]
    untagged: int
    #: The rows to which it was limited; null if a batch of every version was looked at.
    selection: SelectionStatus | None = None
    #: Rows that were tried, and what would become of them.
    looked_at: int
    would_change: int
    would_fail: int
    untouched: int
    #: Those that the server would rewrite by itself.
    by_server: int
    #: Those on which the server and Python do not agree.
    differing: int
    changes: tuple[Change, ...]
    #: The first failures and differences.
    failures: tuple[Failure, ...]
    differences: tuple[PathDifference, ...]
    examples: tuple[Example, ...]

    @property
    def clean(self) -> bool:
        """
        Whether every row that was looked at would come through.
        """
        return not self.would_fail and not self.differing
