"""
The states of a rollout: what leads where.
"""

import pytest

from docstore.core.rollout_state import OPEN, TRANSITIONS, RolloutState, reason_for
from docstore.errors import IllegalTransitionError


def test_every_state_is_reached_from_stable_and_leads_back_to_it() -> None:
    reached, leading = {RolloutState.STABLE}, {RolloutState.STABLE}
    for _ in RolloutState:
        reached |= {after for before, after in TRANSITIONS if before in reached}
        leading |= {before for before, after in TRANSITIONS if after in leading}

    assert reached == leading == set(RolloutState)


def test_every_state_but_stable_and_rolling_back_can_be_rolled_back() -> None:
    can = {before for before, after in TRANSITIONS if after is RolloutState.ROLLING_BACK}

    assert can == set(RolloutState) - {RolloutState.STABLE, RolloutState.ROLLING_BACK}


def test_a_rollout_counts_as_open_unless_it_is_stable_or_complete() -> None:
    assert set(RolloutState) - OPEN == {RolloutState.STABLE, RolloutState.COMPLETE}


@pytest.mark.parametrize("before", RolloutState)
@pytest.mark.parametrize("after", RolloutState)
def test_a_transition_has_a_reason_or_is_refused(before: RolloutState, after: RolloutState) -> None:
    if (before, after) in TRANSITIONS:
        assert reason_for(before, after)
        return
    with pytest.raises(IllegalTransitionError, match="a rollout that is") as caught:
        reason_for(before, after)
    assert set(caught.value.allowed) == {end for start, end in TRANSITIONS if start is before}
