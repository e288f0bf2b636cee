"""
Old code and newer rows, by values alone: read by the published way down, changed by the lens laws, never stripped.
"""

import os
from random import Random
from typing import Any, Final

import pytest
from bson import Int64

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument, decode, encode, identical
from docstore.core.lens import put, seen_at
from docstore.core.lifting import lifted, raised
from docstore.core.newer_steps import (
    NewerSteps,
    at_latest,
    changing,
    kind_at,
    newer_versions,
    readable,
    reading,
    standing,
    way_to_latest,
)
from docstore.core.residue import RESIDUE
from docstore.errors import (
    DocumentError,
    NewerVersionError,
    NotInvertibleError,
    RetiredVersionError,
    UnknownVersionError,
    UpdateRefusedError,
)
from docstore.operations.published_step import PublishedStep, published_step, step_data, steps_above
from tests.operations.test_same_answer import NESTED_PATHS, PATHS, chain_row, random_steps
from tests.operations.values import anything

SEED: Final = os.environ.get("DOCSTORE_TEST_SEED", "1")
CHAINS: Final = 80
ROWS: Final = 20


class Anything(Document):
    """
    A model that is never asked.
    """


STEPS: Final = (
    Step(ops.RenameField("title", "name"), to=2),
    Step(ops.AddField("status", "new"), ops.RenameField("zip", "address.postcode"), to=3),
    Step(ops.MapValues("status", {"new": 0, "sold": 1}), to=4),
)


def kind_of(*steps: Step, **settings: Any) -> Kind[Anything]:
    return Kind("thing", collection="things", model=Anything, steps=steps, **settings)


def old_code(steps: tuple[Step, ...], latest: int, **settings: Any) -> Kind[Anything]:
    """
    Return the kind as code knows it that ends below, with everything else as it comes out of the database.
    """
    published = [published_step(decode(encode(step_data("thing", step)))) for step in steps[latest - 1 :]]
    newer, _ = steps_above(published, latest=latest, marks={})
    return reading(kind_of(*steps[: latest - 1], **settings), NewerSteps(newer))


NEW: Final = {
    "_id": 1,
    "schema_version": 4,
    "name": "Oslo",
    "status": 1,
    "address": {"city": "Oslo", "postcode": "0150"},
    "weight": {"kg": 3},
}
OLD: Final = {
    "_id": 1,
    "schema_version": 2,
    "name": "Oslo",
    "address": {"city": "Oslo"},
    "weight": {"kg": 3},
    "zip": "0150",
}


def same(first: RawDocument, second: RawDocument) -> bool:
    return first.keys() == second.keys() and all(identical(value, second[name]) for name, value in first.items())


def test_a_newer_row_is_read_as_the_code_that_knows_it_brings_it_down() -> None:
    kind = old_code(STEPS, 2)

    assert readable(kind) == 4
    assert newer_versions(kind) == [3, 4]
    assert standing(kind, NEW) == 4
    assert identical(at_latest(kind, NEW), kind_of(*STEPS).downgrade(NEW, to=2))
    assert same(at_latest(kind, NEW), OLD)
    assert same(seen_at(kind, NEW, 1), kind_of(*STEPS).downgrade(NEW, to=1))


LISTED: Final = (
    Step(ops.RenameField("title", "name"), to=2),
    Step(ops.WrapInList("label"), ops.RenameField("label", "labels"), to=3),
)


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b"]])
def test_a_newer_row_that_holds_more_than_the_older_shape_is_read_as_if_it_stood_below(labels: list[str]) -> None:
    kind = old_code(LISTED, 2)
    row = {"_id": 1, "schema_version": 3, "name": "Oslo", "labels": labels}
    stored_below = kind_of(*LISTED).lower(row, to=2)

    seen = at_latest(kind, row)

    assert seen == {name: value for name, value in stored_below.items() if name != RESIDUE}
    assert seen.get("label") == (labels[0] if labels else None)


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b"]])
def test_a_newer_row_that_holds_more_than_the_older_shape_stays_as_it_is_when_nothing_was_changed(
    labels: list[str],
) -> None:
    kind = old_code(LISTED, 2)
    row = {"_id": 1, "schema_version": Int64(3), "name": "Oslo", "labels": labels}

    assert encode(lifted(kind, row, at_latest(kind, row))) == encode(row)


def test_a_newer_row_that_holds_more_than_the_older_shape_takes_no_change() -> None:
    kind = old_code(LISTED, 2)
    row = {"_id": 1, "schema_version": 3, "name": "Oslo", "labels": ["a", "b"]}

    with pytest.raises(UpdateRefusedError, match="step 3 does not take the change"):
        lifted(kind, row, at_latest(kind, row) | {"name": "Rome"})


def test_a_shape_that_came_with_the_tag_of_another_version_is_refused_though_nothing_else_was_changed() -> None:
    kind = old_code(LISTED, 2)
    row = {"_id": 1, "schema_version": 3, "name": "Oslo", "labels": ["a"]}

    with pytest.raises(UpdateRefusedError, match="its tag is not that of version 2"):
        lifted(kind, row, at_latest(kind, row) | {"schema_version": 1})


def test_no_pure_function_that_stores_rows_takes_a_newer_one() -> None:
    kind = old_code(STEPS, 2)

    for refused in (kind.version, kind.upgrade):
        with pytest.raises(NewerVersionError) as error:
            refused(NEW)
        assert (error.value.found, error.value.latest) == (4, 2)


def test_rows_that_no_step_leads_down_from_are_refused() -> None:
    kind = old_code(STEPS[:2], 2, floor=1)

    with pytest.raises(NewerVersionError) as newer:
        at_latest(kind, NEW)
    assert (newer.value.found, newer.value.latest) == (4, 3)
    with pytest.raises(NewerVersionError):
        kind_at(kind, 4)
    with pytest.raises(UnknownVersionError):
        standing(kind, {"_id": 1, "schema_version": "4"})
    with pytest.raises(RetiredVersionError):
        standing(reading(kind_of(STEPS[1], floor=2), NewerSteps()), {"_id": 1, "schema_version": 1})


def test_the_ways_of_all_rows_end_at_latest() -> None:
    kind = old_code(STEPS, 2)

    assert [step.to for step in way_to_latest(kind, 1)] == [2]
    assert way_to_latest(kind, 2) == ()
    assert [step.to for step in way_to_latest(kind, 4)] == [3, 2]
    assert changing(kind) == frozenset(
        {("title",), ("name",), ("status",), ("zip",), ("address", "postcode")},
    )


def test_a_change_is_lifted_with_everything_that_only_the_newer_shape_has() -> None:
    changed = {**OLD, "name": "Bergen", "zip": "5003"}

    result = lifted(old_code(STEPS, 2), NEW, changed)

    expected = {**NEW, "name": "Bergen", "address": {"city": "Oslo", "postcode": "5003"}}
    assert same(result, expected)


@pytest.mark.parametrize("tag", [Int64(4), 4.0, 4])
def test_the_tag_of_a_newer_row_stays_as_it_is_stored(tag: Any) -> None:
    row = {**NEW, "schema_version": tag}

    assert identical(lifted(old_code(STEPS, 2), row, OLD), row)
    assert identical(lifted(old_code(STEPS, 2), row, {**OLD, "name": "Bergen"})["schema_version"], tag)


def test_a_row_whose_version_is_seen_from_its_shape_is_tagged_with_it() -> None:
    kind = old_code(STEPS, 2, detect=lambda row: 4 if "status" in row else 2)
    row = {name: value for name, value in NEW.items() if name != "schema_version"}

    changed = lifted(kind, row, {**at_latest(kind, row), "name": "Bergen"})

    assert changed == {**NEW, "name": "Bergen"}


def test_a_change_that_a_newer_step_does_not_take_is_refused_by_name() -> None:
    kind = old_code((Step(ops.MapValues("size", {"s": 1, "l": 2}), to=2),), 1)
    row = {"_id": 1, "schema_version": 2, "size": 1}

    with pytest.raises(UpdateRefusedError, match=r"version 2.*step 2 does not take the change at 'size'") as refused:
        lifted(kind, row, {"_id": 1, "size": "xxl-secret"})

    assert "secret" not in str(refused.value)


def test_a_new_row_is_raised_to_what_a_backfill_would_make_of_it() -> None:
    kind = old_code(STEPS, 2)

    assert identical(raised(kind, OLD, 4), kind_of(*STEPS).upgrade(OLD))


def test_a_new_row_that_would_be_read_otherwise_is_not_raised() -> None:
    kind = old_code((Step(ops.AddField("status", "new"), to=2),), 1)

    with pytest.raises(UpdateRefusedError, match="would not be read as it was written"):
        raised(kind, {"_id": 1, "schema_version": 1, "status": "sold"}, 2)


def test_a_gap_or_a_step_that_cannot_be_run_ends_what_is_read() -> None:
    second, third, fourth = (published_step(step_data("thing", step)) for step in STEPS)
    blind = PublishedStep("thing", 3, "x", None, "it is made of Python functions")

    assert steps_above([second, third, fourth], latest=2, marks={}) == ([third.step, fourth.step], None)
    assert steps_above([], latest=2, marks={}) == ([], None)
    assert steps_above([fourth], latest=2, marks={}) == ([], (3, "nobody has published it"))
    assert steps_above([blind, fourth], latest=2, marks={}) == ([], (3, "it is made of Python functions"))
    assert steps_above([third, blind], latest=2, marks={"3": third.fingerprint}) == ([third.step], None)
    assert steps_above([third, blind], latest=2, marks={})[0] == []


def test_both_laws_hold_and_nothing_is_stripped_for_random_chains_rows_and_changes() -> None:
    random = Random(f"{SEED} newer")
    taken = refused = 0
    for _ in range(CHAINS):
        rows = [chain_row(random) for _ in range(ROWS)]
        chain = random_steps(random, rows, random.choice((PATHS, NESTED_PATHS)))
        steps = tuple(Step(*operations, to=number) for number, operations in enumerate(chain, start=2))
        new = kind_of(*steps)
        if new.latest < 2:
            continue
        old = old_code(steps, random.randrange(1, new.latest))
        for row in rows:
            try:
                stands = new.upgrade(
                    {**decode(encode(row)), "_id": 1, "schema_version": 1}, to=random.randrange(1, new.latest + 1)
                )
                seen = seen_at(new, stands, old.latest)
            except (DocumentError, NotInvertibleError):
                continue
            if not old.latest < stands["schema_version"] <= readable(old):
                continue
            # What the old node reads is what the new code brings down.
            assert identical(at_latest(old, stands), seen)
            # Get-put: a document that is stored as it was read leaves the row as it is.
            assert same(lifted(old, stands, seen), stands)
            field = random.choice(["fresh", *(name for name in seen if name not in {"_id", "schema_version"})])
            shape = {**seen, field: anything(random)}
            if identical(shape[field], seen.get(field)) and field in seen:
                continue
            try:
                changed = lifted(old, stands, shape)
            except UpdateRefusedError:
                refused += 1
                continue
            taken += 1
            # Put-get: the old node sees what it wrote, and the tag is the row's own.
            assert changed["schema_version"] == stands["schema_version"]
            again = at_latest(old, changed)
            assert field in again
            assert identical(again[field], shape[field])
            # The code that knows the row says the same, and finds all fields that have nothing to do with the change.
            whole = kind_at(old, stands["schema_version"])
            assert same(changed, put(whole, stands, shape, old.latest))
            untouched = old_writes(steps, old.latest, stands["schema_version"])
            for name in stands:
                if name not in untouched and name not in {field, "schema_version"}:
                    assert identical(changed[name], stands[name]), (name, steps)
    assert taken > 150
    assert refused < taken


def old_writes(steps: tuple[Step, ...], low: int, high: int) -> set[str]:
    """
    Return the top-level fields that the steps between two versions read or write.
    """
    operations = [operation for step in steps[low - 1 : high - 1] for operation in step.operations]
    return {path[0] for operation in operations for path in (*operation.reads, *operation.writes)}
