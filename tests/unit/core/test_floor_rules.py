"""
Which floors of code fit which rows and records.
"""

import datetime
import uuid

import pytest

from docstore.core.blocker import Cause
from docstore.core.floor_findings import StandingFence, floor_findings
from docstore.core.floor_rules import FloorFacts, floor_mismatch
from docstore.core.floor_state import FenceRecord, FloorState, Retiring, Validation
from docstore.core.write_version import StoredRows

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
HOME, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
EMPTY = StoredRows()
OWN = Validation()


def facts(floor: int, recorded: int | None, rows: StoredRows, *, retiring: Retiring | None = None) -> FloorFacts:
    return FloorFacts("city", floor, 1, FloorState("city", 3, floor=recorded, retiring=retiring), rows)


@pytest.mark.parametrize(
    ("floor", "recorded", "rows", "refused"),
    [
        (1, None, EMPTY, []),
        (1, None, StoredRows(1, 3), []),
        (1, 2, StoredRows(2, 3), []),
        (2, 2, StoredRows(2, 3), []),
        (2, 3, EMPTY, []),
        (2, None, EMPTY, []),
        (2, None, StoredRows(2, 3), [Cause.FLOOR_ABOVE_RECORD]),
        (2, None, StoredRows(unreadable=True), [Cause.FLOOR_ABOVE_RECORD]),
        (2, 2, StoredRows(unreadable=True), []),
        (2, None, StoredRows(1, 3), [Cause.FLOOR_ABOVE_ROWS]),
        (2, 2, StoredRows(1, 3), [Cause.FLOOR_ABOVE_ROWS]),
        (3, 2, StoredRows(3, 3), [Cause.FLOOR_ABOVE_RECORD]),
        (3, 2, EMPTY, [Cause.FLOOR_ABOVE_RECORD]),
        (3, 2, StoredRows(1, 3), [Cause.FLOOR_ABOVE_ROWS, Cause.FLOOR_ABOVE_RECORD]),
    ],
)
def test_code_fits_or_is_refused(floor: int, recorded: int | None, rows: StoredRows, refused: list[Cause]) -> None:
    assert [blocker.cause for blocker in floor_mismatch(facts(floor, recorded, rows))] == refused


def test_only_a_raised_floor_on_an_empty_collection_without_a_record_is_recorded() -> None:
    retiring = Retiring(2, NOW, "operator")

    assert facts(2, None, EMPTY).to_be_initialised
    assert not facts(1, None, EMPTY).to_be_initialised
    assert not facts(2, None, StoredRows(2, 2)).to_be_initialised
    assert not facts(2, None, StoredRows(unreadable=True)).to_be_initialised
    assert not facts(3, 2, EMPTY).to_be_initialised
    assert not facts(2, None, EMPTY, retiring=retiring).to_be_initialised


def fence(low: int | None = 2, high: int | None = 3, *, at: uuid.UUID | None = HOME, **how: str) -> StandingFence:
    return StandingFence(at, low, high, Validation({}, **how))


@pytest.mark.parametrize(
    ("rows", "standing", "found"),
    [
        (StoredRows(2, 3), fence(), []),
        (StoredRows(2, 3), fence(high=4), []),
        (StoredRows(2, 3), None, []),
        (StoredRows(1, 3), None, [Cause.ROWS_BELOW_FLOOR]),
        (StoredRows(1, 3), fence(), [Cause.ROWS_BELOW_FLOOR]),
        (StoredRows(2, 3, unreadable=True), fence(), [Cause.ROWS_UNREADABLE]),
        (StoredRows(2, 3), fence(at=OTHER), [Cause.OTHER_COLLECTION]),
        (StoredRows(1, 1), fence(None, None, at=OTHER), [
            Cause.ROWS_BELOW_FLOOR, Cause.OTHER_COLLECTION, Cause.FENCE_MISSING
        ]),
        (EMPTY, fence(None, None, at=None), [Cause.OTHER_COLLECTION]),
        (StoredRows(2, 3), fence(None, None), [Cause.FENCE_MISSING]),
        (StoredRows(2, 3), fence(level="off"), [Cause.FENCE_MISSING]),
        (StoredRows(2, 3), fence(action="warn"), [Cause.FENCE_MISSING]),
        (StoredRows(2, 3), fence(low=1), [Cause.FENCE_CHANGED]),
        (StoredRows(2, 3), fence(high=2), [Cause.FENCE_CHANGED]),
        (StoredRows(2, 3), fence(level="moderate"), [Cause.FENCE_CHANGED]),
    ],
)  # fmt: skip
def test_what_was_done_behind_the_back_of_a_floor_is_found(
    rows: StoredRows, standing: StandingFence | None, found: list[Cause]
) -> None:
    record = FloorState("city", 3, floor=2, fence=FenceRecord(2, 3, "strict", OWN), home=HOME)

    assert [finding.cause for finding in floor_findings(record, rows, standing)] == found


def test_nothing_is_found_where_nothing_is_recorded() -> None:
    assert list(floor_findings(FloorState("city", -1), StoredRows(1, 3), fence(None, None, at=OTHER))) == []
