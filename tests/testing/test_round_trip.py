"""
Round trips: exact, lossy, impossible.
"""

import pytest

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument
from docstore.errors import NotInvertibleError, UpgradeFailedError
from docstore.testing import check_round_trip


class Note(Document):
    """
    A model that is never asked.
    """


def note(*steps: Step) -> Kind[Note]:
    return Kind("note", collection="notes", model=Note, steps=steps)


def lower(row: RawDocument) -> RawDocument:
    return {**row, "name": row["name"].lower()}


def same(row: RawDocument) -> RawDocument:
    return row


EXACT = note(Step(ops.RenameField("a", "x.b"), to=2), Step(ops.WrapInList("x.b"), to=3))
LOSSY = note(Step(to=2, upgrade=lower, downgrade=same))


def test_rows_at_any_version_come_back_as_they_were() -> None:
    rows: list[RawDocument] = [{"a": 1, "x": {"c": 2}}, {"schema_version": 2.0, "x": {"b": None}}, {}]

    assert check_round_trip(EXACT, rows) == 3
    assert check_round_trip(EXACT, rows, to=2) == 3


def test_a_row_that_comes_back_different_is_named_with_its_path() -> None:
    with pytest.raises(AssertionError, match=r"note 7 of version 1 changed on the way up and down: name: two values"):
        check_round_trip(LOSSY, [{"_id": 7, "name": "A"}])
    assert check_round_trip(LOSSY, [{"_id": 7, "name": "a"}]) == 1


def test_a_type_that_changed_is_a_difference() -> None:
    kind = note(Step(ops.ConvertType("n", float, was=int), to=2))

    with pytest.raises(AssertionError, match="n: bool and int"):
        check_round_trip(kind, [{"n": True}])


def test_a_parent_that_was_made_on_the_way_is_a_difference() -> None:
    with pytest.raises(AssertionError, match="fields"):
        check_round_trip(EXACT, [{"a": 1}])


def test_a_step_without_a_way_back_and_a_row_without_a_way_up_are_told() -> None:
    with pytest.raises(NotInvertibleError):
        check_round_trip(note(Step(ops.RemoveField("a"), to=2)), [{"a": 1}])
    with pytest.raises(UpgradeFailedError):
        check_round_trip(EXACT, [{"a": 1, "x": {"b": 2}}])
