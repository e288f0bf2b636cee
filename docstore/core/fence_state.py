"""
What the fence of a kind is to let in, and whether the one that stands is the one that was recorded. Pure.
"""

from enum import StrEnum

from docstore.core.fence import FenceBounds, ValidatorParts
from docstore.core.floor_state import FenceRecord, FloorState, Validation
from docstore.core.rollout_state import RolloutState
from docstore.core.write_version import ControlState, StoredRows


class FenceState(StrEnum):
    """
    How what stands before a collection and what was recorded go together.
    """

    #: No fence is wanted, and none is there.
    NONE = "none"
    #: It stands as it was recorded.
    STANDS = "stands"
    #: It was recorded, and is not there: the collection was dropped, renamed over or restored, or somebody removed it.
    MISSING = "missing"
    #: Its clause was changed by hand.
    ALTERED = "altered"
    #: It has other bounds than were recorded, or another level, or rows outside it are only warned of.
    DIFFERENT = "different"
    #: It is there, and nobody knows of it: no rollout would raise it.
    UNRECORDED = "unrecorded"


def fence_state(
    kind: str, field: str, recorded: FenceRecord | None, found: Validation, parts: ValidatorParts
) -> FenceState:
    """
    Tell how a fence stands.

    Args:
        kind: The kind's name.
        field: The field of the tag.
        recorded: The fence that the collection is to have.
        found: How the collection is validated.
        parts: Its validator, taken apart.
    """
    if parts.altered:
        return FenceState.ALTERED
    if recorded is None:
        return FenceState.NONE if parts.bounds is None else FenceState.UNRECORDED
    if parts.bounds is None:
        return FenceState.MISSING
    wanted = FenceBounds(kind, field, recorded.low, recorded.high)
    same = parts.bounds == wanted and (found.level, found.action) == (recorded.level, "error")
    return FenceState.STANDS if same else FenceState.DIFFERENT


def lowest_let_in(floor: FloorState, *, baseline: int) -> int:
    """
    Return the minimum of a fence: the recorded floor, or the first version that rows ever had.
    """
    return baseline if floor.floor is None else floor.floor


def highest_let_in(control: ControlState | None, rows: StoredRows, *, latest: int) -> int:
    """
    Return the maximum of a fence: the highest version that any node may store, or at which a row stands.

    A row that stands higher, after a rollback for example, has to remain changeable where it is.

    Args:
        control: What nodes store; None where none has ever worked with the kind.
        rows: Where the rows stand.
        latest: The latest version of the code at hand, for a kind that no node has worked with.
    """
    if control is None:
        return max(latest, rows.highest or 0)
    high = max(control.written.high, rows.highest or 0)
    if control.unsettled is not None:
        high = max(high, control.unsettled.versions.high)
    # A node that has not heard of the rollback may store N+1 until it is over.
    return max(high, control.next) if control.state is RolloutState.ROLLING_BACK else high


def is_too_high(floor: FloorState, control: ControlState) -> bool:
    """
    Tell whether a recorded fence may let in more than nodes store.
    """
    return floor.fence is not None and floor.retiring is None and floor.fence.high > control.written.high
