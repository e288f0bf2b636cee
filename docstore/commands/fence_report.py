"""
How the fence of a kind stands, for people and programs.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, field_serializer

from docstore.core.extended_json import to_text
from docstore.core.fence_state import FenceState

_FROZEN = ConfigDict(frozen=True)


class FenceLimits(BaseModel):
    """
    What a fence lets in, both versions included, and whom it holds to that.
    """

    model_config = _FROZEN

    low: int
    high: int
    #: "strict", or "moderate": rows outside it may be changed as they are.
    level: str | None = None


class TagsOutside(BaseModel):
    """
    Rows whose tag a fence does not let in.
    """

    model_config = _FROZEN

    #: The type of the tag, as `$type` names it; "missing" where there is none.
    type: str
    #: The version; null where it is no number that JSON knows.
    value: int | float | None
    rows: int


class FenceReport(BaseModel):
    """
    The fence of a kind.
    """

    model_config = _FROZEN

    kind: str
    collection: str
    field: str
    state: FenceState
    #: What stands before the collection; null where there is no fence, or one that was changed by hand.
    found: FenceLimits | None
    #: What was recorded: what docstore put there, and keeps to.
    recorded: FenceLimits | None
    #: What a fence would let in that is put up now.
    wanted: FenceLimits
    #: How the collection is validated, whatever it is.
    validation_level: str
    validation_action: str
    #: The users' own rules beside the fence; null where there are none.
    own_validator: dict[str, Any] | None
    #: Rows that the fence (where there is none, the one that would be put up now) does not let in.
    outside: tuple[TagsOutside, ...]
    #: What is not as it should be, and how to mend it; empty where all is well.
    remarks: tuple[str, ...]

    @property
    def rows_outside(self) -> int:
        """
        How many rows the fence does not let in.
        """
        return sum(tags.rows for tags in self.outside)

    @field_serializer("own_validator", when_used="json")
    def _extended(self, value: Any) -> Any:
        return None if value is None else json.loads(to_text(value))
