"""
What rolling back means at a moment, and when the release before may run again.
"""

from enum import StrEnum

from docstore.core.blocker import Blocker, Cause
from docstore.core.floor_state import FloorState
from docstore.core.rollout_gates import Situation
from docstore.core.write_version import ControlState, StoredRows


class WayBack(StrEnum):
    """
    How long it takes until everything is as it was before a rollout.
    """

    #: There is no rollout to roll back.
    NONE = "none"
    #: Nothing is stored at N+1.
    INSTANT = "instant"
    #: Rows at N+1 have to be brought back first; what is written is stored at N at once.
    AFTER_BACKFILL = "after the reverse backfill"
    NEVER = "never"


def way_back(control: ControlState, rows: StoredRows, *, floor: FloorState | None = None) -> WayBack:
    """
    Return what a rollback means, with what is recorded of the kind's floor.
    """
    if control.canary is None and control.previous is None:
        return WayBack.NONE
    retired = floor is not None and floor.floor is not None and before(control) < floor.floor
    if control.irreversible or retired:
        return WayBack.NEVER
    above = rows.highest is not None and rows.highest > before(control)
    return WayBack.AFTER_BACKFILL if above else WayBack.INSTANT


def before(control: ControlState) -> int:
    """
    Return N: the version to which a rollback leads, or that is stored where there is none to roll back.
    """
    return control.write_version if control.previous is None else control.previous


def release_blockers(now: Situation, rows: StoredRows) -> list[Blocker]:
    """
    Return what is in the way of releasing a binary that knows only versions up to N; nothing if it is safe.
    """
    control = now.control
    kind, version = control.kind, before(control)
    found = []
    if control.written.high > version:
        words = f"{kind} is stored at version {control.written.high}"
        found.append(Blocker(Cause.CANNOT_READ_WRITES, kind, words, {"written": control.written.high}))
    for node in now.fleet.late(control):
        words = f"{node.name} has not acknowledged the last change"
        found.append(Blocker(Cause.NOT_ACKNOWLEDGED, kind, words, {"node": node.id, "service": node.service}))
    if rows.highest is not None and rows.highest > version:
        words = f"rows of {kind} stand at version {rows.highest}"
        found.append(Blocker(Cause.ROWS_LEFT, kind, words, {"version": rows.highest}))
    return found
