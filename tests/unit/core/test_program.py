"""
What chains of operations are compiled to, without a server.
"""

from typing import Any

from docstore import operations as ops
from docstore.core.expressions import Literal, Ref, absent, is_type
from docstore.core.operation import Assign, Operation, Program, Remove
from docstore.core.program import conditions, depth, pipeline, touched

ROW = {"$replaceWith": {"$mergeObjects": ["$$ROOT"]}}


def stages(*operations: Operation) -> list[dict[str, Any]]:
    return pipeline([operation.compile() for operation in operations])


def test_independent_operations_share_one_set_and_one_unset() -> None:
    assert stages(ops.RenameField("a", "b"), ops.RenameField("c", "d"), ops.RemoveField("e")) == [
        {"$set": {"b": "$a", "d": "$c"}},
        {"$unset": ["a", "c", "e"]},
    ]


def test_the_tag_is_set_in_the_first_stage_before_everything_else() -> None:
    program = ops.RenameField("a", "b").compile()

    assert pipeline([program], first=[("v", 3)]) == [{"$set": {"v": {"$literal": 3}, "b": "$a"}}, {"$unset": ["a"]}]
    assert pipeline([], first=[("v", 3)]) == [{"$set": {"v": {"$literal": 3}}}]


def test_an_operation_that_reads_what_was_written_gets_a_stage_of_its_own() -> None:
    assert stages(ops.RenameField("a", "b"), ops.RenameField("b", "c")) == [
        {"$set": {"b": "$a"}},
        {"$unset": ["a"]},
        {"$set": {"c": "$b"}},
        {"$unset": ["b"]},
    ]


def test_an_operation_that_writes_what_was_read_can_share_a_stage() -> None:
    assert stages(ops.CopyField("a", "b"), ops.RemoveField("a")) == [{"$set": {"b": "$a"}}, {"$unset": ["a"]}]


def test_a_path_and_one_within_it_never_stand_in_one_stage() -> None:
    assert stages(ops.RemoveField("x.a"), ops.RemoveField("x")) == [{"$unset": ["x.a"]}, {"$unset": ["x"]}]


def test_the_row_is_rebuilt_before_a_removed_field_comes_back() -> None:
    assert stages(ops.RemoveField("a"), ops.AddField("a", 1))[:2] == [{"$unset": ["a"]}, ROW]
    assert ROW in stages(ops.RenameField("a", "b"), ops.AddField("b", 1))


def test_the_row_is_not_rebuilt_without_need() -> None:
    assert ROW not in stages(ops.RemoveField("a"), ops.AddField("b", 1))
    assert ROW not in stages(ops.AddField("a", 1), ops.MapValues("a", {1: 2}), ops.WrapInList("a"))
    assert ROW not in stages(ops.RenameField("a", "b"), ops.WrapInList("b"), ops.RemoveField("b"))


def test_a_document_is_rebuilt_before_a_field_within_comes_back() -> None:
    rebuilt = {"$cond": [{"$eq": [{"$type": "$x"}, "object"]}, {"$mergeObjects": ["$x"]}, "$x"]}

    assert {"$set": {"x": rebuilt}} in stages(ops.RemoveField("x.a"), ops.AddField("x.a", 1))


def test_conditions_on_untouched_paths_are_asked_of_the_stored_row() -> None:
    programs = [ops.RenameField("a", "b").compile(), ops.RenameField("c", "d").compile()]

    assert conditions(programs) == {"$and": [{"$eq": [{"$type": f"${name}"}, "missing"]} for name in "bd"]}


def test_a_condition_is_asked_once() -> None:
    program = Program((absent(("a",)), absent(("a",))), ())

    assert conditions([program]) == {"$eq": [{"$type": "$a"}, "missing"]}
    assert conditions([]) is True


def test_conditions_on_written_paths_are_asked_of_the_row_as_it_will_be() -> None:
    rename = Program((), (Assign(((("b",), Ref(("a",))),)), Remove((("a",),))))
    unrelated = Program((), (Assign(((("z",), Ref(("y",))),)),))
    needs_text = Program((is_type(Ref(("b",)), "string"),), ())

    assert conditions([unrelated, rename, needs_text]) == {
        "$let": {
            "vars": {"dsRowB": {"$setField": {"field": {"$literal": "b"}, "input": "$$ROOT", "value": "$a"}}},
            "in": {"$eq": [{"$type": "$$dsRowB.b"}, "string"]},
        }
    }


def test_what_an_operation_touches_is_found() -> None:
    programs = [Program((), (Assign(((("a", "b"), Literal(1)),)), Remove((("c",),))))]

    assert touched(programs) == {("a", "b"), ("c",)}


def test_depth_counts_documents_and_arrays() -> None:
    assert depth(1) == 0
    assert depth({"a": [1, {"b": 2}]}) == 3
    assert depth([]) == 1
