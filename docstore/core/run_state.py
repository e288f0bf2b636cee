"""
The states of a backfill run, and every transition with its reason.

Three things are kept apart. The *state* says what is happening. The operator's *wish* (pause, cancel) is expressed by
the states that end in -ing: workers see it and stop. The system's *hold* is no state at all: a run that is throttled
is running, and its record says since when and why it waits.
"""

from enum import StrEnum
from typing import Final

from docstore.errors import IllegalTransitionError


class RunState(StrEnum):
    """
    What is happening to a run.
    """

    #: Asked for; no worker has claimed a batch yet.
    ENQUEUED = "enqueued"
    #: Workers claim batches (or wait, while a hold is on).
    RUNNING = "running"
    #: An operator wants it paused; batches in flight are being finished.
    PAUSING = "pausing"
    #: Nobody works on it until it is resumed.
    PAUSED = "paused"
    #: An operator wants it cancelled; batches in flight are being finished.
    CANCELLING = "cancelling"
    #: Ended by an operator; rows already rewritten stay rewritten.
    CANCELLED = "cancelled"
    #: An exact count said that nothing is left below the target but the quarantined.
    SUCCEEDED = "succeeded"
    #: Ended by itself; its record says why, and it can be resumed once that is mended.
    FAILED = "failed"


_S = RunState

#: Every transition that is allowed, and when it happens. What is not here does not happen.
TRANSITIONS: Final[dict[tuple[RunState, RunState], str]] = {
    (_S.ENQUEUED, _S.RUNNING): "a worker claimed the first batch",
    (_S.ENQUEUED, _S.PAUSED): "an operator paused it before any worker came",
    (_S.ENQUEUED, _S.CANCELLED): "an operator cancelled it before any worker came",
    (_S.ENQUEUED, _S.SUCCEEDED): "an exact count found nothing to do",
    (_S.ENQUEUED, _S.FAILED): "the first look at the rows showed that it cannot be done",
    (_S.RUNNING, _S.PAUSING): "an operator asked to pause while batches may be in flight",
    (_S.RUNNING, _S.CANCELLING): "an operator asked to cancel while batches may be in flight",
    (_S.RUNNING, _S.SUCCEEDED): "an exact count found nothing left but the quarantined, and rows not to touch",
    (_S.RUNNING, _S.FAILED): "too many batches failed, the database refuses for good, or the two paths differ",
    (_S.PAUSING, _S.PAUSED): "the last lease was given back or ran out",
    (_S.PAUSING, _S.RUNNING): "an operator resumed it before every worker had stopped",
    (_S.PAUSING, _S.CANCELLING): "an operator cancelled it while it was pausing",
    (_S.PAUSING, _S.SUCCEEDED): "the batch in flight was the last one",
    (_S.PAUSING, _S.FAILED): "the batch in flight failed the run",
    (_S.PAUSED, _S.ENQUEUED): "an operator resumed it",
    (_S.PAUSED, _S.CANCELLED): "an operator cancelled it while nobody worked on it",
    (_S.CANCELLING, _S.CANCELLED): "the last lease was given back or ran out",
    (_S.CANCELLING, _S.SUCCEEDED): "the batch in flight was the last one",
    (_S.CANCELLING, _S.FAILED): "the batch in flight failed the run",
    (_S.FAILED, _S.ENQUEUED): "an operator resumed it after mending the cause",
}

#: A run in one of these states may still change rows; only one such run per kind exists at a time.
OPEN: Final = frozenset({_S.ENQUEUED, _S.RUNNING, _S.PAUSING, _S.PAUSED, _S.CANCELLING})
#: Workers claim batches of runs in these states.
CLAIMABLE: Final = frozenset({_S.ENQUEUED, _S.RUNNING})
#: The run has ended.
ENDED: Final = frozenset({_S.CANCELLED, _S.SUCCEEDED, _S.FAILED})


#: What an operator's wish to end the batches in flight leads to, once there are none.
SETTLED: Final = {_S.PAUSING: _S.PAUSED, _S.CANCELLING: _S.CANCELLED}


def reason_for(before: RunState, after: RunState) -> str:
    """
    Return why a transition happens.

    Raises:
        IllegalTransitionError: It is not in the table; carries both states and those that would be allowed.
    """
    reason = TRANSITIONS.get((before, after))
    if reason is None:
        allowed = [str(end) for start, end in TRANSITIONS if start is before]
        raise IllegalTransitionError(before=str(before), after=str(after), allowed=allowed)
    return reason


def said_of(reason: str) -> str:
    """
    Return what an operator said of a run's state, if its reason is none of the table's; empty otherwise.
    """
    return "" if reason in TRANSITIONS.values() else reason


def paused_by_wish(state: RunState) -> RunState:
    """
    Return the state to which a wish to pause leads; a run that is paused already stays so.

    Raises:
        IllegalTransitionError: The run is being cancelled, or has ended.
    """
    if state in {_S.PAUSED, _S.PAUSING}:
        return state
    after = _S.PAUSED if state is _S.ENQUEUED else _S.PAUSING
    reason_for(state, after)
    return after


def cancelled_by_wish(state: RunState) -> RunState:
    """
    Return the state to which a wish to cancel leads; a run that is cancelled already stays so.

    Raises:
        IllegalTransitionError: The run has ended.
    """
    if state in {_S.CANCELLED, _S.CANCELLING}:
        return state
    after = _S.CANCELLED if state in {_S.ENQUEUED, _S.PAUSED} else _S.CANCELLING
    reason_for(state, after)
    return after


def resumed_by_wish(state: RunState) -> RunState:
    """
    Return the state to which a wish to resume leads; a run that is being worked on stays so.

    Raises:
        IllegalTransitionError: The run has succeeded, or is (being) cancelled.
    """
    if state in CLAIMABLE:
        return state
    after = _S.RUNNING if state is _S.PAUSING else _S.ENQUEUED
    reason_for(state, after)
    return after
