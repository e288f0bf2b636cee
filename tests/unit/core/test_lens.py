"""
Rows are changed through an older shape: what it cannot express is kept, and both laws hold for random chains.
"""

import copy
import os
import pickle
from random import Random
from typing import Final

import pytest

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument, decode, encode, identical
from docstore.core.document import get_origin_row, set_origin_row
from docstore.core.lens import put, seen_at
from docstore.core.older_document import OlderDocument
from docstore.core.residue import RESIDUE
from docstore.errors import (
    DocumentError,
    DowngradeFailedError,
    NewerVersionError,
    NotInvertibleError,
    UpdateRefusedError,
    VersionRangeError,
)
from tests.kinds import place_kind, stored
from tests.operations.test_same_answer import NESTED_PATHS, PATHS, chain_row, random_steps
from tests.operations.values import anything

SEED: Final = os.environ.get("DOCSTORE_TEST_SEED", "1")
CHAINS: Final = 60
ROWS: Final = 25


class Anything(Document):
    """
    A model that is never asked.
    """


def kind_of(*steps: Step) -> Kind[Anything]:
    return Kind("thing", collection="things", model=Anything, steps=steps)


def same(first: RawDocument, second: RawDocument) -> bool:
    return first.keys() == second.keys() and all(identical(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("row_version", [1, 2, 3])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_row_is_seen_at_every_version(row_version: int, version: int) -> None:
    assert same(seen_at(place_kind(), stored(row_version), version), stored(version))


@pytest.mark.parametrize("row_version", [1, 2, 3])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_change_comes_through_whatever_the_row_and_the_client_stand_at(row_version: int, version: int) -> None:
    changed = stored(version, name="Bergen", visits=2)
    changed.pop("slug", None)
    if version == 3:
        changed["slug"] = "bergen"
    assert same(put(place_kind(), stored(row_version, visits=1), changed, version), stored(3, name="Bergen", visits=2))


def test_what_the_older_shape_does_not_have_is_kept() -> None:
    kind = kind_of(Step(ops.AddField("status", "new"), to=2), Step(ops.AddField("address.floor", 0), to=3))
    row = {"_id": 1, "schema_version": 3, "name": "a", "status": "sold", "address": {"city": "Wien", "floor": 4}}
    older = seen_at(kind, row, 1)
    assert older == {"_id": 1, "schema_version": 1, "name": "a", "address": {"city": "Wien"}}

    older["name"] = "b"
    older["address"] = {"city": "Graz"}

    assert put(kind, row, older, 1) == {**row, "name": "b", "address": {"city": "Graz", "floor": 4}}


def test_of_several_values_the_older_shape_has_the_first_and_the_others_are_kept() -> None:
    kind = kind_of(Step(ops.WrapInList("tag"), to=2), Step(ops.RenameField("text", "body"), to=3))
    row = {"_id": 1, "schema_version": 3, "tag": ["x", "y"], "body": "a"}
    older = seen_at(kind, row, 1, trimming=True)
    assert older == {"_id": 1, "schema_version": 1, "tag": "x", "text": "a"}

    assert put(kind, row, {**older, "text": "b"}, 1, trimming=True) == {**row, "body": "b"}
    changed = put(kind, row, {**older, "tag": "z"}, 1, trimming=True)
    assert seen_at(kind, changed, 1, trimming=True)["tag"] == "z"
    with pytest.raises(DowngradeFailedError):
        seen_at(kind, row, 1)
    # As nodes of the older version see it where it is stored there.
    assert seen_at(kind, kind.lower(row, to=1), 1, trimming=True) == older


def test_a_row_that_does_not_come_up_is_seen_where_it_is_stored_whatever_it_keeps() -> None:
    colours = ops.MapValues("colour", {"red": 1, "blue": 2}, other="refuse")
    kind = kind_of(Step(ops.AddField("status", "new"), colours, to=2))
    row = kind.lower({"_id": 1, "schema_version": 2, "status": "sold", "colour": 2}, to=1)
    # As a node of the older version leaves it, which has more colours by now.
    row["colour"] = "green"

    assert RESIDUE in row
    assert seen_at(kind, row, 1, trimming=True) == {"_id": 1, "schema_version": 1, "colour": "green"}


def test_values_that_the_older_shape_calls_the_same_are_kept() -> None:
    kind = place_kind()
    row = stored(3, slug="a-slug-of-its-own")
    changed = {**seen_at(kind, row, 1), "visits": 5}
    assert put(kind, row, changed, 1) == {**row, "visits": 5}


def test_fields_that_are_left_out_are_removed() -> None:
    kind = kind_of(Step(ops.RenameField("zip", "address.postcode"), to=2))
    row = {"_id": 1, "schema_version": 2, "address": {"city": "Wien", "postcode": "1010"}, "note": "x"}
    older = seen_at(kind, row, 1)
    del older["zip"], older["note"]
    assert put(kind, row, older, 1) == {"_id": 1, "schema_version": 2, "address": {"city": "Wien"}}


def test_a_change_of_the_id_is_refused() -> None:
    with pytest.raises(UpdateRefusedError, match="id was changed"):
        put(place_kind(), stored(3), stored(1, 2), 1)
    with pytest.raises(UpdateRefusedError, match="id was changed"):
        put(place_kind(), stored(3), {"title": "Oslo"}, 1)


def test_the_tag_may_be_left_out_and_may_not_be_that_of_another_version() -> None:
    shape = {"_id": 1, "title": "Bergen"}
    assert put(place_kind(), stored(3), shape, 1)["name"] == "Bergen"
    with pytest.raises(UpdateRefusedError, match="tag"):
        put(place_kind(), stored(3), {**shape, "schema_version": 2}, 1)


def test_a_change_that_latest_cannot_express_is_refused_by_name() -> None:
    def forget(row: RawDocument) -> RawDocument:
        row["size"] = "big"
        return row

    kind = kind_of(Step(upgrade=forget, downgrade=lambda row: {**row, "size": "big"}, writes=["size"], to=2))
    row = {"_id": 1, "schema_version": 2, "size": "big"}
    with pytest.raises(UpdateRefusedError, match="'size'"):
        put(kind, row, {"_id": 1, "size": "small"}, 1)


def test_versions_that_cannot_be_had_are_refused() -> None:
    with pytest.raises(VersionRangeError):
        seen_at(place_kind(), stored(3), 4)
    with pytest.raises(VersionRangeError):
        seen_at(place_kind(floor=2), stored(3), 1)
    with pytest.raises(NewerVersionError):
        seen_at(place_kind(), stored(4), 1)


def test_arguments_are_never_changed() -> None:
    row, shape = stored(3, tags=["a"]), stored(1, name="Bergen", tags=["a", "b"])
    before = copy.deepcopy((row, shape))
    put(place_kind(), row, shape, 1)
    assert (row, shape) == before


def test_both_laws_hold_for_random_chains_rows_and_changes() -> None:
    random = Random(f"{SEED} lens")
    changes = taken = refused = 0
    for _ in range(CHAINS):
        rows = [chain_row(random) for _ in range(ROWS)]
        steps = random_steps(random, rows, random.choice((PATHS, NESTED_PATHS)))
        kind = kind_of(*(Step(*operations, to=number) for number, operations in enumerate(steps, start=2)))
        for row in rows:
            version = random.randrange(1, kind.latest + 1)
            try:
                stands_at = kind.upgrade({**decode(encode(row)), "_id": 1, "schema_version": 1}, to=version)
                latest = kind.upgrade(stands_at)
                older = seen_at(kind, stands_at, version := random.randrange(1, kind.latest + 1))
                kind.upgrade(older)
            except (DocumentError, NotInvertibleError):
                continue
            assert same(put(kind, stands_at, older, version), latest), (kind.steps, stands_at, version)
            shape = disturbed(random, older)
            if same(shape, older):
                continue
            changes += 1
            try:
                changed = put(kind, stands_at, shape, version)
            except UpdateRefusedError:
                refused += 1
            except (DocumentError, NotInvertibleError):
                # No step takes what the client made of it; or the row at latest could not be seen so any more.
                continue
            else:
                seen, rewritten = seen_at(kind, changed, version), seen_at(kind, latest, version)
                for name in {**seen, **shape}:
                    # What the client left alone may be seen as a rewrite of the row alone would show it.
                    left_alone = alike(shape, older, name) and alike(seen, rewritten, name)
                    assert alike(seen, shape, name) or left_alone, (kind.steps, stands_at, shape, version, name)
                taken += 1
    assert taken > 300
    assert refused < 0.1 * changes, (refused, taken, changes)


def alike(first: RawDocument, second: RawDocument, name: str) -> bool:
    if name not in first or name not in second:
        return name not in first and name not in second
    return identical(first[name], second[name])


def disturbed(random: Random, older: RawDocument) -> RawDocument:
    """
    Return the row with one to three fields changed, removed or added, at the top or one level down.
    """
    shape: RawDocument = copy.deepcopy(older)
    for _ in range(random.randrange(1, 4)):
        holder = shape
        names = [name for name in holder if name not in {"_id", "schema_version"}]
        inner = [name for name in names if isinstance(holder[name], dict)]
        if inner and random.random() < 0.5:
            holder = holder[random.choice(inner)]
            names = list(holder)
        dice = random.random()
        if names and dice < 0.5:
            holder[random.choice(names)] = anything(random)
        elif names and dice < 0.7:
            del holder[random.choice(names)]
        else:
            holder[random.choice(["a", "b", "c", "fresh"])] = anything(random)
    return shape


def test_an_older_document_remembers_its_row_when_it_is_copied_and_pickled() -> None:
    document = OlderDocument({"_id": 1}, version=2)
    set_origin_row(document, b"row")
    pickled = pickle.loads(pickle.dumps(document))  # noqa: S301 - our own bytes
    for other in (copy.copy(document), copy.deepcopy(document), document.copy(), pickled):
        assert other == {"_id": 1}
        assert other.version == 2
        assert get_origin_row(other) == b"row"
    assert get_origin_row(OlderDocument({"_id": 1})) is None
