"""
The states of a run: what leads where, and what an operator's wish makes of each.
"""

import pytest

from docstore.core.run_state import (
    CLAIMABLE,
    ENDED,
    OPEN,
    SETTLED,
    TRANSITIONS,
    RunState,
    cancelled_by_wish,
    paused_by_wish,
    reason_for,
    resumed_by_wish,
)
from docstore.errors import IllegalTransitionError


def test_every_state_is_reached_from_the_first_one() -> None:
    reached = {RunState.ENQUEUED}
    for _ in RunState:
        reached |= {after for before, after in TRANSITIONS if before in reached}

    assert reached == set(RunState)


def test_every_state_is_open_or_ended() -> None:
    assert set(RunState) == OPEN | ENDED
    assert not OPEN & ENDED
    assert CLAIMABLE < OPEN


def test_nothing_leads_out_of_success_and_cancellation() -> None:
    assert not [before for before, _ in TRANSITIONS if before in {RunState.SUCCEEDED, RunState.CANCELLED}]


@pytest.mark.parametrize("before", RunState)
@pytest.mark.parametrize("after", RunState)
def test_a_transition_has_a_reason_or_is_refused(before: RunState, after: RunState) -> None:
    if (before, after) in TRANSITIONS:
        assert reason_for(before, after)
        return
    with pytest.raises(IllegalTransitionError) as caught:
        reason_for(before, after)
    assert (caught.value.before, caught.value.after) == (before, after)
    assert set(caught.value.allowed) == {end for start, end in TRANSITIONS if start is before}


def test_states_in_which_batches_are_finished_settle_in_a_state_that_the_table_allows() -> None:
    assert [pair for pair in SETTLED.items() if pair not in TRANSITIONS] == []


@pytest.mark.parametrize(
    ("state", "paused", "resumed", "cancelled"),
    [
        ("enqueued", "paused", "enqueued", "cancelled"),
        ("running", "pausing", "running", "cancelling"),
        ("pausing", "pausing", "running", "cancelling"),
        ("paused", "paused", "enqueued", "cancelled"),
        ("cancelling", None, None, "cancelling"),
        ("cancelled", None, None, "cancelled"),
        ("succeeded", None, None, None),
        ("failed", None, "enqueued", None),
    ],
)
def test_a_wish_leads_to_one_state_or_is_refused(
    state: str, paused: str | None, resumed: str | None, cancelled: str | None
) -> None:
    wishes = ((paused_by_wish, paused), (resumed_by_wish, resumed), (cancelled_by_wish, cancelled))
    for wish, expected in wishes:
        if expected is None:
            with pytest.raises(IllegalTransitionError):
                wish(RunState(state))
        else:
            assert wish(RunState(state)) == expected
