"""
What control records say, also while a change is being carried out.
"""

from typing import Any

import pytest

from docstore.core.control_view import ControlView, Knob
from docstore.core.node_record import node_of
from docstore.core.rollout_moves import canaried
from docstore.core.write_version import ControlState
from docstore.errors import RecordFormatError
from tests.fleet_world import BEGINNING

STABLE = ControlState("place", 2, 1)
CANARY = canaried(STABLE, percent=5.0, epoch=3, settled=True, step=None)


def records(*, pending: ControlState | None = None, stored: ControlState = STABLE, **fleet: Any) -> dict[str, Any]:
    change = None
    if pending is not None:
        change = {"epoch": pending.epoch, "id": "kind:place", "document": pending.stored(), "entry": {}}
    whole = {"format": 1, "epoch": 3, "joins": 0, "freeze": None, "readers": [], "pending": change, **fleet}
    return {"fleet": whole, "kind:place": stored.stored()}


def test_a_change_that_is_being_carried_out_is_taken_for_done() -> None:
    assert ControlView.of(records(pending=CANARY)).controls == {"place": CANARY}
    assert ControlView.of(records(pending=CANARY)).open_rollouts == ("place",)


def test_a_record_that_is_newer_than_the_change_is_left_as_it_is() -> None:
    newer = canaried(CANARY, percent=9.0, epoch=4, settled=True, step=None)

    assert ControlView.of(records(pending=CANARY, stored=newer)).controls == {"place": newer}


def test_without_records_nothing_is_known() -> None:
    assert ControlView.of({}) == ControlView(epoch=-1)


@pytest.mark.parametrize("found", [0, 2, None, "1"])
def test_an_unknown_format_is_refused(found: object) -> None:
    with pytest.raises(RecordFormatError) as caught:
        ControlView.of(records(format=found))
    assert (caught.value.record, caught.value.found, caught.value.known) == ("fleet", found, 1)
    with pytest.raises(RecordFormatError):
        node_of({"_id": "n1", "format": found}, now=BEGINNING)


def test_a_knob_gives_the_same_keys_its_value_as_its_share_grows() -> None:
    few, many, everybody = (Knob("search", "new", percent, 1) for percent in (10.0, 60.0, 100.0))

    def having(knob: Knob) -> set[int]:
        return {key for key in range(200) if knob.value_for(key, "old") == "new"}

    assert having(few) < having(many) < having(everybody) == set(range(200))
