"""
What the last run of a kind means for its rollout.
"""

import datetime
from typing import Any

import pytest
from bson.objectid import ObjectId

from docstore.core.direction import Direction
from docstore.core.rollout_run import Following, following, works_against
from docstore.core.rollout_state import RolloutState
from docstore.core.run_record import RunOptions, RunRecord, new_run
from docstore.core.run_state import RunState
from docstore.core.selected_rows import SelectedRows
from docstore.core.write_version import ControlState

BEGAN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
EARLIER = BEGAN - datetime.timedelta(hours=1)
UP, DOWN, ADOPT = Direction.UP, Direction.DOWN, Direction.ADOPT
S, R = RolloutState, RunState


def control(state: RolloutState) -> ControlState:
    return ControlState("place", 3, 7, state=state)


def run(
    state: RunState,
    direction: Direction = UP,
    target: int = 3,
    *,
    some: bool = False,
    created: datetime.datetime = BEGAN,
) -> RunRecord:
    stored: dict[str, Any] = new_run(
        id="place-1",
        kind="place",
        collection="places",
        target=target,
        direction=direction,
        options=RunOptions(),
        fingerprints={},
        selection=SelectedRows(ObjectId(), 1, 1, random=False, mark="") if some else None,
        by="operator",
    )
    return RunRecord.of({**stored, "state": state.value, "state_reason": "", "created": created, "now": created})


@pytest.mark.parametrize(
    ("state", "last", "expected"),
    [
        (S.STABLE, run(R.SUCCEEDED), Following.NOTHING),
        (S.CANARY, run(R.RUNNING), Following.NOTHING),
        (S.COMPLETE, run(R.SUCCEEDED), Following.NOTHING),
        (S.OPEN, None, Following.NOTHING),
        (S.OPEN, run(R.ENQUEUED), Following.BEGIN),
        (S.OPEN, run(R.PAUSED), Following.BEGIN),
        (S.OPEN, run(R.SUCCEEDED), Following.CONCLUDE),
        (S.OPEN, run(R.CANCELLED), Following.NOTHING),
        (S.OPEN, run(R.RUNNING, some=True), Following.NOTHING),
        (S.OPEN, run(R.RUNNING, target=2), Following.NOTHING),
        (S.OPEN, run(R.RUNNING, DOWN, 2), Following.NOTHING),
        (S.OPEN, run(R.RUNNING, ADOPT), Following.NOTHING),
        (S.BACKFILLING, None, Following.NOTHING),
        (S.BACKFILLING, run(R.RUNNING), Following.NOTHING),
        (S.BACKFILLING, run(R.FAILED), Following.STOP),
        (S.BACKFILLING, run(R.CANCELLED), Following.STOP),
        (S.BACKFILLING, run(R.SUCCEEDED), Following.CONCLUDE),
        (S.BACKFILLING, run(R.SUCCEEDED, some=True), Following.CONCLUDE),
        (S.BACKFILLING, run(R.RUNNING, some=True), Following.NOTHING),
        (S.ROLLING_BACK, None, Following.GO_BACK),
        (S.ROLLING_BACK, run(R.CANCELLING, target=4), Following.NOTHING),
        (S.ROLLING_BACK, run(R.CANCELLED, target=4), Following.GO_BACK),
        (S.ROLLING_BACK, run(R.RUNNING, DOWN), Following.NOTHING),
        (S.ROLLING_BACK, run(R.SUCCEEDED, DOWN), Following.CONCLUDE),
        (S.ROLLING_BACK, run(R.FAILED, DOWN), Following.NOTHING),
        (S.ROLLING_BACK, run(R.CANCELLED, DOWN), Following.NOTHING),
        (S.ROLLING_BACK, run(R.SUCCEEDED, DOWN, created=EARLIER), Following.GO_BACK),
        (S.ROLLING_BACK, run(R.CANCELLED, DOWN, created=EARLIER), Following.GO_BACK),
        (S.ROLLING_BACK, run(R.SUCCEEDED, DOWN, some=True), Following.GO_BACK),
    ],
)
def test_a_rollout_follows_the_last_run(state: RolloutState, last: RunRecord | None, expected: Following) -> None:
    assert following(control(state), last, since=BEGAN) is expected


@pytest.mark.parametrize(
    ("last", "against"),
    [
        (run(R.RUNNING), False),
        (run(R.RUNNING, target=4), True),
        (run(R.RUNNING, DOWN, 4), True),
        (run(R.RUNNING, ADOPT, 4), False),
    ],
)
def test_a_run_that_takes_rows_above_what_is_stored_works_against_it(last: RunRecord, *, against: bool) -> None:
    assert works_against(control(S.ROLLING_BACK), last) is against
