"""
Which versions are taken for absent without a look: only what a fence that stands forbids.
"""

import datetime
import uuid
from dataclasses import replace
from typing import Any

import pytest

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.absence import FenceSeen, absence, wants_watching
from docstore.core.fence import FenceBounds
from docstore.core.floor_state import FenceRecord, FloorState, Proof, Retiring

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
HOME = uuid.UUID(int=7)
KIND: Kind[Document] = Kind(
    "note",
    collection="notes",
    model=Document,
    steps=[Step(ops.RenameField("a", "b"), to=2), Step(ops.AddField("c", 1), to=3)],
)
FENCE = FenceRecord(3, 3, "strict")
FLOOR = FloorState("note", 5, floor=3, proof=Proof("me", NOW), fence=FENCE, home=HOME)
SEEN = FenceSeen(HOME, FenceBounds("note", "schema_version", 3, 3), strict=True)
FACTS: dict[str, Any] = {"age": 1.0, "trusted": 6.0, "looked": True}


def test_behind_a_fence_at_latest_no_other_version_is_stored() -> None:
    known = absence(KIND, FLOOR, SEEN, **FACTS)

    assert (known.low, known.high) == (3, 3)
    assert known.among([None, 1, 2, 3, 4]) == [3]
    assert known.is_of_all_but(3)
    assert known.reason == "old versions are absent: fenced since 2026-01-02 03:04:05"
    assert wants_watching(KIND, FLOOR)


def test_behind_a_lower_fence_the_versions_that_it_lets_in_are_looked_for() -> None:
    fence = FenceRecord(2, 4, "strict")
    seen = FenceSeen(HOME, FenceBounds("note", "schema_version", 2, 4), strict=True)

    known = absence(KIND, replace(FLOOR, floor=2, fence=fence), seen, **FACTS)

    assert known.among([None, 1, 2, 4, 5]) == [2, 4]
    assert not known.is_of_all_but(3)


@pytest.mark.parametrize(
    ("floor", "seen", "facts", "reason"),
    [
        (None, SEEN, {}, "no floor is recorded"),
        (replace(FLOOR, floor=None), SEEN, {}, "no floor is recorded"),
        (replace(FLOOR, proof=None), SEEN, {}, "without a fence that proves it"),
        (replace(FLOOR, proof=Proof("me", NOW, fenced=False)), SEEN, {}, "without a fence that proves it"),
        (replace(FLOOR, retiring=Retiring(3, NOW, "me")), SEEN, {}, "a retirement is under way"),
        (replace(FLOOR, fence=None), SEEN, {}, "no fence is recorded"),
        (replace(FLOOR, fence=FenceRecord(3, 3, "moderate")), SEEN, {}, "moderate"),
        (replace(FLOOR, floor=1, fence=FenceRecord(1, 3, "strict")), SEEN, {}, "lets in every version"),
        (FLOOR, None, {}, "not read yet"),
        (FLOOR, SEEN, {"age": 6.0}, "6 s ago"),
        (FLOOR, SEEN, {"age": float("inf")}, "ago"),
        (FLOOR, replace(SEEN, home=uuid.UUID(int=8)), {}, "not the one that was fenced"),
        (FLOOR, replace(SEEN, home=None), {}, "not the one that was fenced"),
        (replace(FLOOR, home=None), replace(SEEN, home=None), {}, "not the one that was fenced"),
        (FLOOR, replace(SEEN, bounds=None), {}, "not in place"),
        (FLOOR, replace(SEEN, bounds=FenceBounds("note", "schema_version", 2, 3)), {}, "not in place"),
        (FLOOR, replace(SEEN, bounds=FenceBounds("note", "v", 3, 3)), {}, "not in place"),
        (FLOOR, replace(SEEN, bounds=FenceBounds("other", "schema_version", 3, 3)), {}, "not in place"),
        (FLOOR, replace(SEEN, strict=False), {}, "not in place"),
        (FLOOR, SEEN, {"looked": False}, "nobody has looked yet"),
    ],
)
def test_every_other_case_takes_a_look_and_says_why(
    floor: FloorState | None, seen: FenceSeen | None, facts: dict[str, Any], reason: str
) -> None:
    known = absence(KIND, floor, seen, **{**FACTS, **facts})

    assert known.among([None, 1, 2]) == [None, 1, 2]
    assert reason in known.reason


def test_a_kind_without_steps_is_not_watched() -> None:
    assert not wants_watching(Kind("note", collection="notes", model=Document, floor=3), FLOOR)
    assert not wants_watching(KIND, None)
