"""
What a control state makes nodes store.
"""

import pytest

from docstore.core.canonical_id import bucket
from docstore.core.fleet_facts import Fleet
from docstore.core.rollout_moves import (
    advanced,
    backfill_began,
    backfill_stopped,
    canaried,
    completed,
    rolled_back,
)
from docstore.core.rollout_state import RolloutState
from docstore.core.write_version import ControlState, StoredRows, Unsettled, VersionRange, first_version
from docstore.errors import IllegalTransitionError

STABLE = ControlState("place", 2, 1, steps={"2": "two"})
CANARY = canaried(STABLE, percent=50.0, epoch=2, settled=True, step="three")
OPEN = advanced(CANARY, epoch=3, settled=True, step="three")
BACK = rolled_back(OPEN, epoch=4, settled=True)


def test_a_canary_stores_the_ids_below_its_percentage_at_the_next_version() -> None:
    assert {CANARY.version_for(each) for each in range(100) if bucket(each) < 50} == {3}
    assert {CANARY.version_for(each) for each in range(100) if bucket(each) >= 50} == {2}


@pytest.mark.parametrize(("percent", "version"), [(0.0, 2), (100.0, 3)])
def test_a_canary_of_nothing_and_of_all_is_exact(percent: float, version: int) -> None:
    control = canaried(STABLE, percent=percent, epoch=2, settled=True, step=None)

    assert {control.version_for(each) for each in range(1000)} == {version}


@pytest.mark.parametrize("control", [STABLE, OPEN, BACK])
def test_no_change_of_a_row_lowers_it(control: ControlState) -> None:
    assert control.version_for(1, standing=3) == 3


def test_what_is_new_during_a_rollback_is_stored_at_the_version_before() -> None:
    assert BACK.version_for(1) == BACK.version_for(1, standing=1) == 2


def test_a_rollout_goes_its_way_and_keeps_the_way_back() -> None:
    filling = backfill_began(OPEN, epoch=4)
    done = completed(filling, epoch=5)
    again = canaried(done, percent=1.0, epoch=6, settled=True, step="four")

    assert (OPEN.write_version, OPEN.previous, OPEN.canary) == (3, 2, None)
    assert backfill_stopped(filling, epoch=5).state is RolloutState.OPEN
    assert (done.state, done.previous, done.unsettled) == (RolloutState.COMPLETE, 2, None)
    assert rolled_back(done, epoch=6, settled=True).write_version == 2
    assert (again.previous, again.written) == (None, VersionRange(3, 4))
    assert rolled_back(again, epoch=7, settled=True).write_version == 3


def test_after_a_rollback_the_step_may_be_written_anew() -> None:
    assert BACK.steps == {"2": "two", "3": "three"}
    assert completed(BACK, epoch=5).steps == {"2": "two"}


def test_what_cannot_follow_is_refused() -> None:
    with pytest.raises(IllegalTransitionError):
        rolled_back(STABLE, epoch=2, settled=True)


def test_nodes_that_have_not_acknowledged_a_change_may_store_what_was_before_it() -> None:
    assert BACK.unsettled == Unsettled(VersionRange(3, 3), 4)
    assert BACK.may_be_written(acknowledged=3) == VersionRange(2, 3)
    assert BACK.may_be_written(acknowledged=4) == VersionRange(2, 2)


def test_what_was_unsettled_before_stays_so_until_it_is_acknowledged() -> None:
    flipped = advanced(BACK, epoch=5, settled=False, step=None)

    assert flipped.unsettled == Unsettled(VersionRange(2, 3), 5)
    assert advanced(BACK, epoch=5, settled=True, step=None).unsettled == Unsettled(VersionRange(2, 2), 5)


@pytest.mark.parametrize("control", [STABLE, CANARY, OPEN, BACK])
def test_a_state_survives_its_record(control: ControlState) -> None:
    assert ControlState.of(control.stored()) == control


@pytest.mark.parametrize(
    ("rows", "readable", "expected"),
    [
        (StoredRows(), None, 4),
        (StoredRows(), 3, 3),
        (StoredRows(2, 3), None, 3),
        (StoredRows(1, 5), None, 5),
        (StoredRows(1, 1, untagged=True), None, 1),
        (StoredRows(1, 3, untagged=True), None, 1),
    ],
)
def test_the_first_write_version_is_what_is_stored(rows: StoredRows, readable: int | None, expected: int) -> None:
    assert first_version(rows, baseline=1, latest=4, readable_by_all=readable) == expected


def test_an_empty_fleet_has_acknowledged_everything() -> None:
    assert Fleet().settled(BACK)
