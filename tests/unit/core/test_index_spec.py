"""
Indexes that a kind declares for its versions.
"""

from typing import Any

import pytest
from pymongo import ASCENDING, DESCENDING, TEXT, IndexModel

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.index_spec import IndexSpec, droppable
from docstore.errors import KindDefinitionError


class Note(Document):
    text: str


def declared(indexes: Any) -> Kind[Note]:
    step = Step(ops.RenameField("body", "text"), to=2)
    return Kind("note", collection="notes", model=Note, steps=[step], indexes=indexes)


@pytest.mark.parametrize(
    ("index", "keys", "name"),
    [
        ("text", (("text", 1),), "text_1"),
        (["text", ("at", -1)], (("text", 1), ("at", -1)), "text_1_at_-1"),
        ([("at", "2dsphere")], (("at", "2dsphere"),), "at_2dsphere"),
        ({"a": 1, "b": -1}, (("a", 1), ("b", -1)), "a_1_b_-1"),
        (IndexModel([("a", DESCENDING)], unique=True), (("a", -1),), "a_-1"),
        (IndexModel("a", name="mine"), (("a", 1),), "mine"),
    ],
)
def test_an_index_is_declared_as_pymongo_takes_it(index: Any, keys: Any, name: str) -> None:
    spec = declared({2: [index]}).indexes[2][0]

    assert (spec.keys, spec.name) == (keys, name)


@pytest.mark.parametrize(
    "indexes",
    [
        ["text"],
        {2: "text"},
        {2: {"text": 1}},
        {0: ["text"]},
        {"2": ["text"]},
        {2: [[]]},
        {2: [5]},
        {2: [[("a", 1, 2)]]},
        {2: [[("a", None)]]},
        {2: [[("", 1)]]},
    ],
)
def test_what_is_no_index_is_a_fault_of_the_kind(indexes: Any) -> None:
    with pytest.raises(KindDefinitionError) as caught:
        declared(indexes)

    assert "indexes" in str(caught.value.exceptions[0])


@pytest.mark.parametrize(
    ("index", "shown", "met"),
    [
        ("a", {"key": {"a": 1}}, True),
        ("a", {"key": {"a": 1.0}, "unique": True, "v": 2, "name": "other"}, True),
        ("a", {"key": {"a": -1}}, False),
        ("a", {"key": {"a": 1, "b": 1}}, False),
        (["a", "b"], {"key": {"b": 1, "a": 1}}, False),
        ("a", {"key": {"a": 1}, "sparse": True}, False),
        ("a", {"key": {"a": 1}, "hidden": True}, False),
        ("a", {"key": {"a": 1}, "partialFilterExpression": {"b": 1}}, False),
        (IndexModel("a", sparse=True), {"key": {"a": 1}, "sparse": True}, True),
        (IndexModel("a", unique=True), {"key": {"a": 1}}, False),
        (IndexModel("a", unique=False), {"key": {"a": 1}}, True),
        (IndexModel("a", expireAfterSeconds=60), {"key": {"a": 1}, "expireAfterSeconds": 60}, True),
        (
            IndexModel("a", collation={"locale": "en"}),
            {"key": {"a": 1}, "collation": {"locale": "en", "strength": 3}},
            True,
        ),
        (IndexModel("a", collation={"locale": "en"}), {"key": {"a": 1}}, False),
        ([("a", TEXT)], {"key": {"_fts": "text", "_ftsx": 1}, "weights": {"a": 1}}, True),
        ([("a", TEXT)], {"key": {"_fts": "text", "_ftsx": 1}, "weights": {"b": 1}}, False),
    ],
)
def test_an_index_is_there_if_it_does_what_the_declared_one_was_for(index: Any, shown: Any, *, met: bool) -> None:
    assert IndexSpec.of(index).is_met_by(shown) is met


def test_the_command_builds_what_was_declared() -> None:
    plain = IndexSpec.of([("a", ASCENDING), ("b.c", DESCENDING)])
    unique = IndexSpec.of(IndexModel("a", unique=True, name="mine"))

    assert plain.command("notes") == 'db.getCollection("notes").createIndex({"a": 1, "b.c": -1})'
    assert unique.command("n") == 'db.getCollection("n").createIndex({"a": 1}, {"unique": true, "name": "mine"})'


def test_what_only_versions_below_the_floor_need_can_be_dropped() -> None:
    a, b, c = map(IndexSpec.of, ("a", "b", "c"))
    indexes = {1: (a, b), 2: (b, c), 3: (c,)}

    assert droppable(indexes, floor=1) == ()
    assert droppable(indexes, floor=2) == (a,)
    assert droppable(indexes, floor=3) == (a, b)
