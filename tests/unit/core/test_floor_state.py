"""
The record of a kind's floor, and what control records say with it.
"""

import datetime
import uuid
from typing import Any

import bson
import pytest
from bson.int64 import Int64

from docstore.core.bson_values import CODEC
from docstore.core.control_view import ControlView
from docstore.core.floor_state import FenceRecord, FloorState, Proof, Retiring, Validation
from docstore.core.write_version import ControlState
from docstore.errors import RecordFormatError

AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
UNKNOWN = {"of_the_next_release": {"a": 1}}
OWN = Validation({"$jsonSchema": {"required": ["name"], "minProperties": Int64(2)}}, "moderate", "warn")
WHOLE = FloorState(
    "place",
    7,
    floor=2,
    proof=Proof("me", AT, 12, {"2": 10, "3": 2}, AT, 60.0, False, "why"),
    retiring=Retiring(3, AT, "me", "why", 5.0, True, OWN),
    fence=FenceRecord(2, 3, "moderate", OWN),
    home=uuid.UUID(int=7),
)


def as_the_server_gives_it(document: dict[str, Any]) -> dict[str, Any]:
    return bson.decode(bson.encode(document, codec_options=CODEC), codec_options=CODEC.with_options(tz_aware=True))


def view(*, pending: FloorState | None = None, **floors: dict[str, Any]) -> ControlView:
    change = None
    if pending is not None:
        change = {"epoch": pending.epoch, "id": "floor:place", "document": pending.stored(), "entry": {}}
    fleet: dict[str, Any] = {"format": 1, "epoch": 7, "joins": 0, "freeze": None, "readers": [], "pending": change}
    records = {"fleet": fleet, "kind:place": ControlState("place", 2, 1).stored()}
    return ControlView.of(records | {f"floor:{name}": stored for name, stored in floors.items()})


@pytest.mark.parametrize("state", [WHOLE, FloorState("place", 0)])
def test_a_state_comes_back_from_the_database_as_it_was(state: FloorState) -> None:
    assert FloorState.of(as_the_server_gives_it(state.stored())) == state


def test_numbers_of_a_validator_keep_their_type() -> None:
    kept = Validation.of(as_the_server_gives_it(OWN.stored()))

    assert kept is not None
    assert kept.validator is not None
    assert type(kept.validator["$jsonSchema"]["minProperties"]) is Int64


def test_fields_of_the_next_release_are_passed_over() -> None:
    stored = WHOLE.stored()
    extended = {**stored, **UNKNOWN, **{name: stored[name] | UNKNOWN for name in ("proof", "retiring", "fence")}}

    assert FloorState.of(extended) == WHOLE


def test_a_view_holds_the_floors_beside_the_control_states() -> None:
    seen = view(place=WHOLE.stored())

    assert seen.floors == {"place": WHOLE}
    assert seen.floor_of("place") == WHOLE
    assert seen.floor_of("other").floor is None
    assert set(seen.controls) == {"place"}


def test_a_change_of_a_floor_that_is_being_carried_out_is_taken_for_done() -> None:
    begun = WHOLE.after(8, retiring=None, floor=3)

    assert view(pending=begun, place=WHOLE.stored()).floor_of("place") == begun


def test_an_unknown_format_of_a_floor_is_refused_by_name() -> None:
    with pytest.raises(RecordFormatError, match="floor:place has format 9"):
        view(place={**WHOLE.stored(), "format": 9})


def test_a_floor_is_proved_only_by_a_count_under_a_fence() -> None:
    fenced = Proof("me", AT)

    assert not WHOLE.proved
    assert not WHOLE.after(8, proof=None).proved
    assert WHOLE.after(8, proof=fenced).proved
