"""
What stands in the way of something, in words and as facts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Cause(StrEnum):
    """
    Why a node is not admitted, or an operator is refused.
    """

    # Of a node or a declared reader:
    CANNOT_READ_WRITES = "cannot_read_writes"
    CANNOT_READ_ROWS = "cannot_read_rows"
    FLOOR_ABOVE_ROWS = "floor_above_rows"
    FLOOR_ABOVE_RECORD = "floor_above_record"
    SKEW = "skew"
    OTHER_STEP = "other_step"
    # Of what was done to rows behind the back of a recorded floor:
    ROWS_BELOW_FLOOR = "rows_below_floor"
    OTHER_COLLECTION = "other_collection"
    FENCE_MISSING = "fence_missing"
    FENCE_CHANGED = "fence_changed"
    RESTORED = "restored"
    # Of an operator's wish:
    FROZEN = "frozen"
    OTHER_ROLLOUT = "other_rollout"
    WRONG_STATE = "wrong_state"
    NO_LIVE_NODE = "no_live_node"
    NODE_CANNOT_READ = "node_cannot_read"
    READER_CANNOT_READ = "reader_cannot_read"
    UNCLEAN_DEATH = "unclean_death"
    UNKNOWN_STEP = "unknown_step"
    IRREVERSIBLE = "irreversible"
    BELOW_FLOOR = "below_floor"
    MISSING_INDEX = "missing_index"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    ROWS_LEFT = "rows_left"
    RUN_OPEN = "run_open"
    OTHER_OPERATOR = "other_operator"
    RETIRING = "retiring"
    RETIRED = "retired"
    NOT_RETIRING = "not_retiring"
    # Of a retirement:
    NEVER_STORED = "never_stored"
    WRITES_BELOW = "writes_below"
    NODE_WRITES_BELOW = "node_writes_below"
    READER_WRITES_BELOW = "reader_writes_below"
    ROWS_BELOW = "rows_below"
    ROWS_UNTAGGED = "rows_untagged"
    ROWS_UNREADABLE = "rows_unreadable"
    ROWS_ODDLY_TAGGED = "rows_oddly_tagged"
    ROWS_QUARANTINED = "rows_quarantined"
    ASKED_FOR = "asked_for"
    NOT_EXACT = "not_exact"
    SOAK = "soak"
    FENCE = "fence"


@dataclass(frozen=True, slots=True)
class Blocker:
    """
    One thing that stands in the way.
    """

    cause: Cause
    kind: str
    #: One sentence without a full stop, for people.
    words: str
    #: The same for programs: names, versions and numbers, never values of rows.
    facts: Mapping[str, Any] = field(default_factory=dict)


def facts_of(blocker: Blocker) -> dict[str, Any]:
    """
    Return a blocker as errors and reports carry it.
    """
    return {**asdict(blocker), "cause": blocker.cause.value, "facts": dict(blocker.facts)}
