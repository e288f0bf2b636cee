"""
The states of a rollout, and every transition with its reason.

A rollout brings one kind from version N, the write version, to N+1. The state says what is stored: at N alone, at N+1
for some ids, at N+1 throughout, or at N again. Whether operators may advance at all (a freeze) is no state of a kind:
it holds for the whole database.

What is complete stays so until the next rollout, or until it is rolled back. Retirement takes the way back and leaves
the state alone: what is below the floor is never stored again, whatever state a rollout is in.
"""

from enum import StrEnum
from typing import Final

from docstore.errors import IllegalTransitionError


class RolloutState(StrEnum):
    """
    What is happening to the write version of a kind.
    """

    #: All nodes store the write version: no rollout has begun yet, or the last one was rolled back.
    STABLE = "stable"
    #: Rows whose id falls under a percentage are stored at N+1, all others at N.
    CANARY = "canary"
    #: All rows are stored at N+1; older rows are left.
    OPEN = "open"
    #: As open, and a backfill brings the older rows to N+1.
    BACKFILLING = "backfilling"
    #: No row is left below N+1; it can be rolled back until the next rollout, or until N is below the floor.
    COMPLETE = "complete"
    #: All rows are stored at N again; a reverse backfill brings back those that stand at N+1.
    ROLLING_BACK = "rolling_back"


_S = RolloutState

#: Every transition that is allowed, and when it happens. What is not here does not happen.
TRANSITIONS: Final[dict[tuple[RolloutState, RolloutState], str]] = {
    (_S.STABLE, _S.CANARY): "an operator has some rows stored at the next version",
    (_S.STABLE, _S.OPEN): "an operator flipped the write version",
    (_S.CANARY, _S.CANARY): "an operator changed the percentage",
    (_S.CANARY, _S.OPEN): "an operator flipped the write version for all rows",
    (_S.CANARY, _S.ROLLING_BACK): "the canary was rolled back, by an operator or by its own limit",
    (_S.OPEN, _S.BACKFILLING): "a backfill to the write version began",
    (_S.OPEN, _S.COMPLETE): "an exact count found no row below the write version",
    (_S.OPEN, _S.ROLLING_BACK): "an operator flipped the write version back",
    (_S.BACKFILLING, _S.OPEN): "the backfill was cancelled, or failed",
    (_S.BACKFILLING, _S.COMPLETE): "an exact count found no row below the write version",
    (_S.BACKFILLING, _S.ROLLING_BACK): "an operator flipped the write version back while a backfill ran",
    (_S.COMPLETE, _S.CANARY): "an operator began the next rollout with a canary",
    (_S.COMPLETE, _S.OPEN): "an operator began the next rollout",
    (_S.COMPLETE, _S.ROLLING_BACK): "an operator flipped the write version back after the backfill",
    (_S.ROLLING_BACK, _S.OPEN): "an operator flipped the write version again before all rows were back",
    (_S.ROLLING_BACK, _S.STABLE): "no row is left above the write version, and every node has acknowledged it",
}

#: A rollout in one of these states is open; one is open at a time in the database.
OPEN: Final = frozenset({_S.CANARY, _S.OPEN, _S.BACKFILLING, _S.ROLLING_BACK})


def reason_for(before: RolloutState, after: RolloutState) -> str:
    """
    Return why a transition happens.

    Raises:
        IllegalTransitionError: It is not in the table; carries both states and those that would be allowed.
    """
    reason = TRANSITIONS.get((before, after))
    if reason is None:
        allowed = [str(end) for start, end in TRANSITIONS if start is before]
        raise IllegalTransitionError(before=str(before), after=str(after), allowed=allowed, what="rollout")
    return reason
