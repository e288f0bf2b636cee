"""
What rolling back means, and when the release before may run again.
"""

import pytest

from docstore.core.blocker import Cause
from docstore.core.fleet_facts import Fleet
from docstore.core.rollout_gates import Situation
from docstore.core.rollout_moves import advanced, canaried, rolled_back
from docstore.core.way_back import WayBack, before, release_blockers, way_back
from docstore.core.write_version import ControlState, StoredRows

STABLE = ControlState("place", 2, 1)
CANARY = canaried(STABLE, percent=50.0, epoch=2, settled=True, step=None)
OPEN = advanced(CANARY, epoch=3, settled=True, step=None)
FINAL = advanced(STABLE, epoch=3, settled=True, step=None, irreversible=True)
BACK = rolled_back(OPEN, epoch=4, settled=True)


@pytest.mark.parametrize(
    ("control", "highest", "expected"),
    [
        (STABLE, 2, WayBack.NONE),
        (CANARY, 2, WayBack.INSTANT),
        (CANARY, 3, WayBack.AFTER_BACKFILL),
        (OPEN, 2, WayBack.INSTANT),
        (OPEN, None, WayBack.INSTANT),
        (OPEN, 3, WayBack.AFTER_BACKFILL),
        (FINAL, 2, WayBack.NEVER),
        (BACK, 3, WayBack.NONE),
    ],
)
def test_the_way_back_depends_on_what_is_stored(control: ControlState, highest: int | None, expected: WayBack) -> None:
    assert way_back(control, StoredRows(2, highest)) is expected
    assert before(control) == 2


@pytest.mark.parametrize(
    ("control", "highest", "causes"),
    [
        (STABLE, 2, []),
        (OPEN, 2, [Cause.CANNOT_READ_WRITES]),
        (CANARY, 3, [Cause.CANNOT_READ_WRITES, Cause.ROWS_LEFT]),
        (BACK, 3, [Cause.ROWS_LEFT]),
        (BACK, 2, []),
    ],
)
def test_the_release_before_may_run_when_nothing_is_left_that_it_cannot_read(
    control: ControlState, highest: int, causes: list[Cause]
) -> None:
    blockers = release_blockers(Situation(control, Fleet()), StoredRows(1, highest))

    assert [blocker.cause for blocker in blockers] == causes
