"""
What the last backfill run of a kind means for its rollout.
"""

import datetime
from enum import StrEnum

from docstore.core.direction import Direction
from docstore.core.rollout_state import RolloutState
from docstore.core.run_record import RunRecord
from docstore.core.run_state import ENDED, RunState
from docstore.core.write_version import ControlState


class Following(StrEnum):
    """
    What is to be done next so that a rollout keeps up with its runs.
    """

    NOTHING = "nothing"
    #: Say that a backfill to the write version is on.
    BEGIN = "begin"
    #: Say that it ended with rows left.
    STOP = "stop"
    #: Count, and end the rollout if every row is where it belongs.
    CONCLUDE = "conclude"
    #: The same; where rows are left above, ask for a run that brings them back.
    GO_BACK = "go back"


def following(control: ControlState, run: RunRecord | None, *, since: datetime.datetime | None = None) -> Following:
    """
    Return what follows for a rollout.

    Args:
        control: How it stands.
        run: The run of the kind that was asked for last; None if there was none.
        since: When the control state came to be; None where that is not known.
    """
    if control.state is RolloutState.ROLLING_BACK:
        return _on_the_way_back(control, run, since)
    if run is None or control.state not in {RolloutState.OPEN, RolloutState.BACKFILLING}:
        return Following.NOTHING
    forward = _is_whole(run, Direction.UP, control)
    if control.state is RolloutState.OPEN:
        if not forward:
            return Following.NOTHING
        if run.state is RunState.SUCCEEDED:
            return Following.CONCLUDE
        return Following.NOTHING if run.state in ENDED else Following.BEGIN
    if run.state not in ENDED:
        return Following.NOTHING
    if forward and run.state is not RunState.SUCCEEDED:
        return Following.STOP
    return Following.CONCLUDE


def works_against(control: ControlState, run: RunRecord) -> bool:
    """
    Tell whether a run takes rows above what is stored.
    """
    # Tagging rows changes the version of none.
    return run.target > control.write_version and run.direction is not Direction.ADOPT


def _on_the_way_back(control: ControlState, run: RunRecord | None, since: datetime.datetime | None) -> Following:
    if run is None:
        return Following.GO_BACK
    if run.state not in ENDED:
        return Following.NOTHING
    of_this_rollback = _is_whole(run, Direction.DOWN, control) and (since is None or run.created >= since)
    if not of_this_rollback:
        return Following.GO_BACK
    # One that was cancelled or failed is for operators to resume.
    return Following.CONCLUDE if run.state is RunState.SUCCEEDED else Following.NOTHING


def _is_whole(run: RunRecord, direction: Direction, control: ControlState) -> bool:
    return run.direction is direction and run.target == control.write_version and run.selection is None
