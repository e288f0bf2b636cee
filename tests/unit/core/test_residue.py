"""
What a row keeps of newer shapes while it is stored in an older one.
"""

import random
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument, copied, decode, encode, identical
from docstore.core.lens import put, seen_at
from docstore.core.residue import RESIDUE
from docstore.errors import (
    DocumentError,
    KindDefinitionError,
    NotExpressibleError,
    UpdateRefusedError,
    UpgradeFailedError,
)
from docstore.testing.round_trip import ordered
from tests.random_kinds import random_invertible_kind, random_latest_rows


def note(*steps: Step, latest: int | None = None) -> Kind[Document]:
    return Kind("note", collection="notes", model=Document, steps=steps[: None if latest is None else latest - 1])


STEPS = (Step(ops.AddField("status", "new"), to=2), Step(ops.WrapInList("tag"), to=3))
KIND = note(*STEPS)


def row(version: int = 3, **fields: Any) -> RawDocument:
    return {"_id": 7, "schema_version": version, **fields}


def test_what_the_older_version_has_no_field_for_is_kept_and_comes_back() -> None:
    lower = KIND.lower(row(status="sold", tag=["a"]), to=1)

    assert lower == row(1, tag="a", **{RESIDUE: {"2": {"fields": {"status": {"was": "new", "is": "sold"}}}}})
    assert KIND.upgrade(lower) == row(3, tag=["a"], status="sold")


def test_a_row_of_which_everything_comes_back_by_itself_keeps_nothing() -> None:
    assert KIND.lower(row(status="new", tag=["a"]), to=1) == row(1, tag="a")


def test_of_a_list_the_older_version_gets_the_first_and_the_row_keeps_all() -> None:
    upper = row(status="new", tag=["a", "b"])

    lower = KIND.lower(upper, to=2)

    assert lower["tag"] == "a"
    assert KIND.upgrade(lower) == upper


def test_elements_of_lists_keep_theirs_too() -> None:
    kind = note(Step(ops.ForEach("lines", ops.AddField("unit", "pcs"), ops.WrapInList("tag")), to=2))
    upper = row(2, lines=[{"unit": "kg", "tag": ["a", "b"]}, {"unit": "pcs", "tag": []}, {"unit": None}])

    lower = kind.lower(upper, to=1)

    assert lower["lines"] == [{"tag": "a"}, {}, {}]
    assert kind.upgrade(lower) == upper


def test_a_field_that_was_not_there_is_not_there_again() -> None:
    lower = KIND.lower(row(tag=["a"]), to=1)

    assert lower[RESIDUE] == {"2": {"fields": {"status": {"was": "new"}}}}
    assert KIND.upgrade(lower) == row(3, tag=["a"])


def test_a_row_comes_up_step_by_step_and_keeps_what_is_above() -> None:
    upper = row(status="sold", tag=["a", "b"])
    lower = KIND.lower(upper, to=1)

    middle = KIND.upgrade(lower, to=2)

    assert set(lower[RESIDUE]) == {"2", "3"}
    assert (middle["status"], set(middle[RESIDUE])) == ("sold", {"3"})
    assert KIND.upgrade(middle) == upper
    assert KIND.lower(middle, to=1) == lower


def test_a_node_that_ends_below_carries_what_it_does_not_know() -> None:
    older = note(*STEPS, latest=2)
    lower = KIND.lower(row(status="sold", tag=["a", "b"]), to=1)

    through = older.lower({**older.upgrade(lower), "text": "said", "status": "gone"}, to=1)

    assert KIND.upgrade(through) == row(status="gone", tag=["a", "b"], text="said")


def test_what_the_older_version_changed_wins() -> None:
    lower = KIND.lower(row(status="new", tag=["a", "b"]), to=2)

    assert KIND.upgrade({**lower, "tag": "z"})["tag"] == ["z"]


def test_of_a_document_the_older_version_changes_only_what_it_changed() -> None:
    kind = note(Step(ops.AddField("at.z", 0), to=2))
    lower = kind.lower(row(2, at={"x": 1, "y": 2, "z": 3}), to=1)

    assert kind.upgrade({**lower, "at": {"x": 9, "y": 2}})["at"] == {"x": 9, "y": 2, "z": 3}


def test_of_a_list_the_older_version_changes_only_the_elements_that_it_changed() -> None:
    kind = note(Step(ops.ForEach("lines", ops.AddField("unit", "pcs")), to=2))
    lower = kind.lower(row(2, lines=[{"n": 1, "unit": "kg"}, {"n": 2, "unit": "t"}]), to=1)

    changed = kind.upgrade({**lower, "lines": [{"n": 1}, {"n": 5}]})

    assert changed["lines"] == [{"n": 1, "unit": "kg"}, {"n": 5, "unit": "t"}]


@pytest.mark.parametrize("same", [1, 1.0, Int64(1), Decimal128("1.0")])
def test_a_number_that_the_server_calls_equal_is_what_it_was(same: Any) -> None:
    kind = note(Step(ops.CopyField("n", "m"), to=2))
    lower = kind.lower(row(2, n=1, m=5), to=1)

    assert kind.upgrade({**lower, "n": same})["m"] == 5


@pytest.mark.parametrize("other", [2, True, "1", None])
def test_any_other_value_is_a_change(other: Any) -> None:
    kind = note(Step(ops.CopyField("n", "m"), to=2))
    lower = kind.lower(row(2, n=1, m=5), to=1)

    assert kind.upgrade({**lower, "n": other})["m"] == other


def test_a_value_that_no_older_row_can_have_is_refused_by_name() -> None:
    kind = note(Step(ops.MapValues("state", {1: "open", 2: "shut"}), to=2))

    with pytest.raises(NotExpressibleError) as caught:
        kind.lower(row(2, state="secret"), to=1)

    error = caught.value
    assert (error.kind, error.id, error.version, error.step, error.path) == ("note", 7, 2, 2, "state")
    assert "secret" not in str(error)


@pytest.mark.parametrize("odd", [5, [], {"2": 5}, {"2": {}}, {"2": {"fields": {"a": 1}}}, {"x": {"fields": {}}}])
def test_a_residue_that_docstore_did_not_write_fails_the_row(odd: Any) -> None:
    with pytest.raises(UpgradeFailedError) as caught:
        KIND.upgrade(row(1, **{RESIDUE: odd}))

    assert caught.value.path == RESIDUE


def test_functions_do_not_see_it() -> None:
    seen: list[str] = []

    def look(given: RawDocument) -> RawDocument:
        seen.extend(given)
        return given

    kind = note(Step(ops.AddField("a", 1), to=2), Step(upgrade=look, downgrade=look, to=3))
    lower = kind.lower(row(3, a=2), to=1)

    assert kind.upgrade(lower) == row(3, a=2)
    assert RESIDUE in lower
    assert RESIDUE not in seen


def test_older_clients_do_not_see_it_and_their_changes_go_through_it() -> None:
    upper = row(status="sold", tag=["a"])
    lower = KIND.lower(upper, to=1)

    seen = seen_at(KIND, lower, 2)
    after = put(KIND, lower, {**seen, "text": "said"}, 2)

    assert seen == seen_at(KIND, upper, 2) == row(2, status="sold", tag="a")
    assert after == row(status="sold", tag=["a"], text="said")
    assert seen_at(KIND, lower, 1) == row(1, tag="a")


def test_the_field_is_nobody_elses() -> None:
    class Model(Document):
        kept: int = Field(alias=RESIDUE)

    def faults(**settings: Any) -> str:
        with pytest.raises(KindDefinitionError) as caught:
            Kind("note", **{"collection": "notes", "model": Document, **settings})
        return str(caught.value.exceptions)

    assert "docstore's own" in faults(model=Model)
    assert "docstore's own" in faults(version_field=RESIDUE)
    assert "touches the residue" in faults(steps=[Step(ops.AddField(RESIDUE, 1), to=2)])


def test_a_step_that_makes_the_field_fails_the_row() -> None:
    kind = note(Step(upgrade=lambda row: {**row, RESIDUE: {}}, downgrade=lambda row: {**row, RESIDUE: {}}, to=2))

    with pytest.raises(UpgradeFailedError, match="docstore's own"):
        kind.upgrade(row(1))
    with pytest.raises(UpgradeFailedError, match="docstore's own"):
        kind.lower(row(2), to=1)


def test_a_client_of_an_older_version_brings_no_residue_along() -> None:
    shape = {**seen_at(KIND, row(status="new"), 1), RESIDUE: {"2": {"fields": {"status": {"is": "sold"}}}}}

    with pytest.raises(UpdateRefusedError, match="docstore's own"):
        put(KIND, row(status="new"), shape, 1)


def test_rows_that_have_it_are_declined_by_the_server_on_their_way_up() -> None:
    said = str(KIND.compile(1, to=2).condition)

    assert f"'${RESIDUE}'" in said
    assert RESIDUE not in str(note(Step(ops.AddField("status", "new"), to=2)).compile(2, to=1).condition)


@given(seed=st.integers(min_value=0, max_value=2**32 - 1))
def test_whatever_goes_down_comes_up_as_it_was(seed: int) -> None:
    rng = random.Random(seed)
    kind = random_invertible_kind(rng, functions=0.2)
    for upper in random_latest_rows(rng, kind, 6):
        for target in range(1, kind.latest):
            try:
                lower = kind.lower(upper, to=target)
            except DocumentError:
                continue
            stored = decode(encode(lower))

            assert stored["schema_version"] == target
            assert encode(ordered(kind.upgrade(stored))) == encode(ordered(upper))
            # Any number of ways lead up and down again.
            middle = rng.randrange(target, kind.latest + 1)
            assert encode(ordered(kind.upgrade(kind.upgrade(stored, to=middle)))) == encode(ordered(upper))


@given(seed=st.integers(min_value=0, max_value=2**32 - 1))
def test_what_an_older_node_leaves_alone_is_what_it_was(seed: int) -> None:
    rng = random.Random(seed)
    kind = random_invertible_kind(rng, functions=0.0)
    for upper in random_latest_rows(rng, kind, 6):
        try:
            lower = kind.lower(upper, to=1)
            before = kind.upgrade(lower)
            changed = {**copied(lower), "remark": rng.randrange(100)}
            after = kind.upgrade(changed)
        except DocumentError:
            continue
        reads = {path[0] for step in kind.steps for each in step.operations for path in each.reads | each.writes}
        if "remark" in reads:
            continue
        assert {name for name in {**before, **after} if not _same(before, after, name)} == {"remark"}


def _same(first: RawDocument, second: RawDocument, name: str) -> bool:
    return name in first and name in second and identical(first[name], second[name])


def test_a_number_within_a_document_that_the_server_calls_equal_is_what_it_was() -> None:
    kind = note(Step(ops.CopyField("at", "copy"), to=2))
    lower = kind.lower(row(2, at={"x": 1, "y": 2}, copy={"x": 5, "y": 6}), to=1)

    assert kind.upgrade({**lower, "at": {"x": 1.0, "y": 3}})["copy"] == {"x": 5, "y": 3}
