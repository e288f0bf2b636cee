"""
Going down without loss, in Python.
"""

from typing import Any

import pytest
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument, decode, encode
from docstore.core.lowering import lowered, trimmed
from docstore.core.residue import RESIDUE
from docstore.errors import DowngradeFailedError, NotExpressibleError
from docstore.testing.round_trip import ordered
from tests.operations.case import Case
from tests.strategies import INVERTIBLE_CASES, rows_before


def note(*steps: Step) -> Kind[Document]:
    return Kind("note", collection="notes", model=Document, steps=steps)


def down(kind: Kind[Document], to: int = 1, **fields: Any) -> RawDocument:
    row = {"_id": 7, "schema_version": kind.latest, **fields}
    return lowered(kind.chain, row, kind.latest, to)


def kept(step: int, **fields: tuple[Any, Any]) -> RawDocument:
    return {str(step): {"fields": {name: {"was": was, "is": is_} for name, (was, is_) in fields.items()}}}


ADDED = note(Step(ops.AddField("status", "new"), to=2))


@pytest.mark.parametrize("case", INVERTIBLE_CASES, ids=lambda case: repr(case.operation)[:80])
@given(data=st.data())
def test_a_row_that_an_operation_made_goes_down_to_what_it_was_made_of(case: Case, data: st.DataObject) -> None:
    kind = note(Step(case.operation, to=2))
    row = {"_id": 1, "schema_version": 1, **data.draw(rows_before(case))}
    upper = kind.upgrade(decode(encode(row)))

    lower = lowered(kind.chain, decode(encode(upper)), 2, 1)

    assert encode(ordered(lower)) == encode(ordered(row))


def test_a_value_for_which_the_lower_version_has_no_field_is_kept() -> None:
    lower = down(ADDED, status="secret")

    assert lower == {"_id": 7, "schema_version": 1, RESIDUE: kept(2, status=("new", "secret"))}


@pytest.mark.parametrize("value", [5.0, Int64(5), -5, None, [5], "5"])
def test_a_value_that_comes_back_as_another_one_or_another_type_is_kept(value: Any) -> None:
    kind = note(Step(ops.AddField("count", 5), to=2))

    assert down(kind, count=5) == {"_id": 7, "schema_version": 1}
    assert encode(down(kind, count=value)[RESIDUE]) == encode(kept(2, count=(5, value)))


def test_that_a_field_is_missing_which_would_be_added_is_kept() -> None:
    assert down(ADDED) == {"_id": 7, "schema_version": 1, RESIDUE: {"2": {"fields": {"status": {"was": "new"}}}}}


def test_the_order_of_fields_within_a_document_is_kept() -> None:
    kind = note(Step(ops.NestFields({"x": "x", "y": "y"}, into="at"), to=2))
    upper = {"_id": 7, "schema_version": 2, "at": {"y": 2, "x": 1}}

    assert list(kind.upgrade(down(kind, at={"y": 2, "x": 1}))["at"]) == ["y", "x"]
    assert kind.upgrade(down(kind, at={"x": 1, "y": 2})) == upper


def test_each_step_that_would_not_give_it_back_has_an_entry() -> None:
    kind = note(
        Step(ops.AddField("a", 0), to=2),
        Step(ops.RenameField("a", "b"), to=3),
        Step(ops.AddField("c", 0), to=4),
    )

    assert down(kind, b=9, c=1)[RESIDUE] == {**kept(2, a=(0, 9)), **kept(4, c=(0, 1))}


def test_a_value_that_the_lower_version_cannot_have_is_refused_by_name() -> None:
    kind = note(Step(ops.MapValues("state", {1: "open"}), to=2), Step(ops.AddField("c", 0), to=3))

    with pytest.raises(NotExpressibleError) as caught:
        down(kind, state="secret", c=0)

    error = caught.value
    assert (error.kind, error.id, error.version, error.step, error.path) == ("note", 7, 3, 2, "state")
    assert "secret" not in str(error)


def test_what_elements_of_a_list_hold_is_kept() -> None:
    kind = note(Step(ops.ForEach("lines", ops.AddField("unit", "pcs")), to=2))

    lower = down(kind, lines=[{"unit": "pcs"}, {"unit": "kg"}])

    assert lower["lines"] == [{}, {}]
    assert kind.upgrade(lower)["lines"] == [{"unit": "pcs"}, {"unit": "kg"}]


def derive(row: RawDocument) -> RawDocument:
    row["inner"]["twice"] = row["inner"]["once"] * 2
    return row


def drop(row: RawDocument) -> RawDocument:
    del row["inner"]["twice"]
    return row


@pytest.mark.parametrize("writes", [None, ["inner"], ["inner.twice"]])
def test_functions_that_change_nested_values_in_place_are_held_to_it_too(writes: list[str] | None) -> None:
    kind = note(Step(upgrade=derive, downgrade=drop, writes=writes, to=2))

    assert down(kind, inner={"once": 2, "twice": 4}) == {"_id": 7, "schema_version": 1, "inner": {"once": 2}}
    assert down(kind, inner={"once": 2, "twice": 5})[RESIDUE] == kept(
        2, inner=({"once": 2, "twice": 4}, {"once": 2, "twice": 5})
    )


def test_a_tag_of_another_number_type_is_no_loss() -> None:
    kind = note(Step(upgrade=derive, downgrade=drop, to=2))

    row = lowered(kind.chain, {"_id": 1, "schema_version": 2.0, "inner": {"once": 1, "twice": 2}}, 2, 1)

    assert row["schema_version"] == 1


def test_a_row_that_could_not_come_up_again_does_not_go_down() -> None:
    kind = note(Step(upgrade=derive, downgrade=lambda row: {"_id": row["_id"]}, to=2))

    with pytest.raises(DowngradeFailedError) as caught:
        down(kind, inner={"once": 2, "twice": 4})

    assert (caught.value.step, type(caught.value)) == (2, DowngradeFailedError)
    assert "come up again: it raised KeyError" in caught.value.error


def test_a_step_without_a_way_back_fails_the_row() -> None:
    kind = note(Step(upgrade=derive, to=2), Step(ops.AddField("a", 1), to=3))

    with pytest.raises(DowngradeFailedError) as caught:
        down(kind, inner={"once": 2, "twice": 4}, a=1)

    assert (caught.value.version, caught.value.step) == (3, 2)


def test_what_comes_back_as_nothing_that_can_be_stored_is_refused() -> None:
    kind = note(Step(upgrade=lambda row: {**row, "a": object()}, downgrade=lambda row: row, to=2))

    with pytest.raises(NotExpressibleError):
        down(kind, a=1)


LOUD = note(
    Step(
        upgrade=lambda row: {name: value for name, value in {**row, "words": [row["text"]]}.items() if name != "text"},
        downgrade=lambda row: {"_id": row["_id"], "text": row["words"][0].lower()},
        to=2,
    )
)


def test_what_a_row_has_no_room_to_keep_is_refused_by_name_and_can_be_trimmed() -> None:
    row = {"_id": 7, "schema_version": 2, "words": ["A" * 9_000_000]}

    with pytest.raises(NotExpressibleError) as caught:
        lowered(LOUD.chain, dict(row), 2, 1)

    assert (caught.value.step, caught.value.path) == (2, "words")
    lower = trimmed(LOUD.chain, dict(row), 2, 1)
    assert lower.keys() == {"_id", "schema_version", "text"}
    assert set(lower["text"]) == {"a"}
