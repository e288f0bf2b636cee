"""
Chains in which a server does something else than one would think, each found by chance once.
"""

from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument, encode
from docstore.core.operation import Operation
from docstore.testing import compare_paths


class Anything(Document):
    """
    A model that is never asked.
    """


#: What the chain does, the row before, and the row after (without `_id` and tag).
TRAPS: dict[str, tuple[list[Operation], RawDocument, RawDocument]] = {
    "a removed field that comes back goes to the end": (
        [ops.RemoveField("a"), ops.AddField("b", 1), ops.AddField("a", 2)],
        {"a": 0, "z": 0},
        {"z": 0, "b": 1, "a": 2},
    ),
    "a field that stayed missing has no place yet": (
        [ops.RenameField("q", "a"), ops.AddField("b", 1), ops.AddField("a", 2)],
        {"z": 0},
        {"z": 0, "b": 1, "a": 2},
    ),
    "a missing field that was to be converted has no place yet": (
        [ops.ConvertType("a", int), ops.AddField("b", 1), ops.AddField("a", 2)],
        {"z": 0},
        {"z": 0, "b": 1, "a": 2},
    ),
    "a removed field within a document comes back at its end": (
        [ops.RemoveField("x.a"), ops.AddField("x.b", 1), ops.AddField("x.a", 2)],
        {"x": {"a": 0, "z": 0}},
        {"x": {"z": 0, "b": 1, "a": 2}},
    ),
    "a document forgets the place of what was brought out of it": (
        [ops.UnnestFields("x", {"a": "b"}), ops.AddField("x.a", 2)],
        {"x": {"a": 0, "z": 0}},
        {"x": {"z": 0, "a": 2}, "b": 0},
    ),
    "a document within another forgets the place of what was brought out of it": (
        [ops.UnnestFields("x.y", {"a": "b"}), ops.AddField("x.y.a", 2)],
        {"x": {"y": {"a": 0, "z": 0}}},
        {"x": {"y": {"z": 0, "a": 2}}, "b": 0},
    ),
    "a moved document forgets the place of what it lost": (
        [ops.RemoveField("x.a"), ops.RenameField("x", "y"), ops.AddField("y.b", 1), ops.AddField("y.a", 2)],
        {"x": {"a": 0, "z": 0}},
        {"y": {"z": 0, "b": 1, "a": 2}},
    ),
    "a copied document forgets the place of what it lost": (
        [ops.RemoveField("x.y.a"), ops.CopyField("x", "w"), ops.AddField("w.y.b", 1), ops.AddField("w.y.a", 2)],
        {"x": {"y": {"a": 0, "z": 0}}},
        {"x": {"y": {"z": 0}}, "w": {"y": {"z": 0, "b": 1, "a": 2}}},
    ),
    "an element forgets the place of what it lost, also from one step to the next": (
        [
            ops.ForEach("l", ops.RemoveField("a"), ops.RemoveField("x.a")),
            ops.ForEach(
                "l", ops.AddField("b", 1), ops.AddField("a", 2), ops.AddField("x.b", 1), ops.AddField("x.a", 2)
            ),
        ],
        {"l": [{"a": 0, "z": 0, "x": {"a": 0, "z": 0}}]},
        {"l": [{"z": 0, "x": {"z": 0, "b": 1, "a": 2}, "b": 1, "a": 2}]},
    ),
    "a wrapped document forgets the place of what it lost": (
        [
            ops.RemoveField("x.a"),
            ops.WrapInList("x"),
            ops.ForEach("x", ops.AddField("b", 1), ops.AddField("a", 2)),
        ],
        {"x": {"a": 0, "z": 0}},
        {"x": [{"z": 0, "b": 1, "a": 2}]},
    ),
    "a missing document has no place yet when what was in it is forgotten": (
        [ops.RemoveField("x.y.a"), ops.CopyField("x.y", "b"), ops.AddField("c", 1), ops.RenameField("d", "x.z")],
        {"d": 2},
        {"c": 1, "x": {"z": 2}},
    ),
    "an emptied list has no place": (
        [ops.UnwrapList("x.l"), ops.AddField("x.b", 1), ops.AddField("x.l", 2)],
        {"x": {"l": [], "z": 0}},
        {"x": {"z": 0, "b": 1, "l": 2}},
    ),
    "a value that was moved twice is asked for its type where it came from": (
        [ops.RenameField("a", "b"), ops.RenameField("b", "c"), ops.ConvertType("c", int, ops.Value("bad"))],
        {"a": "12"},
        {"c": 12},
    ),
    "a plain document as result is a value and no set of paths": (
        [ops.Compute("x", {"new": "$z"}, lambda row: {"new": row["z"]}, replace=True)],
        {"x": {"old": 0}, "z": 1},
        {"x": {"new": 1}, "z": 1},
    ),
    "the whole row is seen as it is just then": (
        [
            ops.RenameField("a", "b"),
            ops.Compute("size", {"$size": {"$objectToArray": "$$ROOT"}}, len),
            ops.Compute("names", {"$map": {"input": {"$objectToArray": "$$CURRENT"}, "in": "$$this.k"}}, list),
            ops.AddField("b", 0),
        ],
        {"a": 1, "z": 0},
        {"z": 0, "b": 1, "size": 4, "names": ["_id", "schema_version", "z", "b", "size"]},
    ),
    "variables of a user's own hide nothing": (
        [
            ops.RenameField("a", "b"),
            ops.Compute(
                "x",
                {
                    "$let": {
                        "vars": {"this": "$b", "root": 1, "value": "$z"},
                        "in": ["$$this", "$$root", "$$value", "$b"],
                    }
                },
                lambda row: [row["b"], 1, row["z"], row["b"]],
            ),
            ops.AddField("x", 0),
            ops.WrapInList("b"),
        ],
        {"a": "$z", "z": "$a"},
        {"z": "$a", "b": ["$z"], "x": ["$z", 1, "$a", "$z"]},
    ),
}

#: Chains and rows that Python refuses, so the server must have declined them.
REFUSED: dict[str, tuple[list[Operation], RawDocument]] = {
    "a list that was moved twice": (
        [ops.RenameField("a", "b"), ops.RenameField("b", "c"), ops.WrapInList("c")],
        {"a": []},
    ),
    "a target that two moves fill": (
        [ops.RenameField("a", "b"), ops.RenameField("b", "c"), ops.RenameField("d", "c")],
        {"a": 1, "d": 2},
    ),
    "a text with a line feed after the number": ([ops.ConvertType("a", int)], {"a": "12\n"}),
    "a parent that an earlier operation made": ([ops.RenameField("a", "x"), ops.AddField("x.y", 1)], {"a": 5}),
    "an element that lost what a later operation needs": (
        [ops.ForEach("l", ops.RenameField("a", "b"), ops.RenameField("c", "b"))],
        {"l": [{"a": 1}, {"a": 1, "c": 2}]},
    ),
}


def kinds(operations: list[Operation]) -> list[Kind[Any]]:
    """
    Return the operations as one step and as a step each.
    """
    each = [Step(operation, to=number) for number, operation in enumerate(operations, start=2)]
    return [
        Kind("k", collection="k", model=Anything, steps=[Step(*operations, to=2)]),
        Kind("k", collection="k", model=Anything, steps=each),
    ]


@pytest.mark.parametrize("name", TRAPS)
async def test_both_paths_give_what_is_written_here(name: str, database: AsyncDatabase[RawDocument]) -> None:
    operations, before, after = TRAPS[name]

    for kind in kinds(operations):
        result = await compare_paths(database, kind, [{"_id": 1, "schema_version": 1, **before}])
        assert result.require_same().by_server == 1
        upgraded = kind.upgrade({"_id": 1, "schema_version": 1, **before})
        assert encode(upgraded) == encode({"_id": 1, "schema_version": kind.latest, **after})


@pytest.mark.parametrize("name", REFUSED)
async def test_the_server_declines_what_python_refuses(name: str, database: AsyncDatabase[RawDocument]) -> None:
    operations, row = REFUSED[name]

    for kind in kinds(operations):
        result = await compare_paths(database, kind, [row])
        assert (result.require_same().by_server, result.refused) == (0, 1)
