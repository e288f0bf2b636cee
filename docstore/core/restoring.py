"""
What a row's residue keeps, brought back by the server exactly as `residue.restore` does it.

A field that still is what it was is set to what it is to be. The three-way merge of fields that somebody changed is an
expression of some size, and servers read it with every query, so there is one of it for as many fields as possible:
those that no later step looks at are restored together, after all steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.expressions import Expression, Literal, Ref, both, is_type, references
from docstore.core.merge_on_server import merged_on_server, opened
from docstore.core.operation import Assign, Program
from docstore.core.paths import FieldPath
from docstore.core.residue import FIELDS, IS, RESIDUE, WAS
from docstore.core.step import Step

#: Where a row within the pipeline keeps what was merged. docstore's own name; whoever uses these programs removes it.
MERGED: Final = "__docstore_merged"

_RESIDUE: Final[FieldPath] = (RESIDUE,)


@dataclass(frozen=True, slots=True)
class KeptField:
    """
    A top-level field of which the residue may keep something for the step that produces *step*.

    *when* tells whether a row has come up through that step; None: every row that is asked.
    """

    step: int
    name: str
    when: Expression = None


def is_residue() -> Expression:
    """Build the condition that a row has a residue, and one whose entries are named by versions."""
    named = {"$regexMatch": {"input": "$$dsEntry.k", "regex": "^[0-9]+$"}}
    entries = {"$map": {"input": {"$objectToArray": Ref(_RESIDUE)}, "as": "dsEntry", "in": named}}
    return both([is_type(Ref(_RESIDUE), "object"), {"$allElementsTrue": [entries]}])


def kept_by(step: Step, later: Sequence[Step]) -> tuple[list[str], list[str]]:
    """
    Return the fields that a step of operations may keep: those that *later* steps look at, and the others.
    """
    seen = {path[:1] for each in later for path in _looked_at(each)}
    names = sorted({path[0] for path in step.writes or ()})
    at_once = [name for name in names if () in seen or (name,) in seen]
    return at_once, [name for name in names if name not in at_once]


def readable(step: Step) -> Expression:
    """
    Build the condition that a residue says of a step what docstore writes: of the fields that the step touches, if any.

    To be asked where `is_residue` holds.
    """
    names = sorted({path[0] for path in step.writes or ()})
    entry = (RESIDUE, str(step.to))
    fields = (*entry, FIELDS)
    known = {"$and": [{"$in": ["$$dsKept.k", Literal(names)]}, is_type("$$dsKept.v", "object")]}
    each = {"$map": {"input": {"$objectToArray": Ref(fields)}, "as": "dsKept", "in": known}}
    written = both([is_type(Ref(fields), "object"), {"$allElementsTrue": [each]}])
    return {"$or": [is_type(Ref(entry), "missing"), written]}


def restoring(kept: Sequence[KeptField]) -> Program:
    """
    Return the program that gives fields back what their steps would have lost, each named once.

    To be run where `is_residue` holds, and `readable` of each of the steps.
    """
    if not kept:
        return Program(requires=(), actions=())
    changed = [
        {
            "$cond": [
                both([_is_kept(each), {"$ne": [Ref((each.name,)), _said(each, WAS)]}, _is_opened(each)]),
                [{"k": Literal(each.name), "s": _said(each, IS), "b": _said(each, WAS), "n": Ref((each.name,))}],
                [],
            ]
        }
        for each in kept
    ]
    restored = [((each.name,), _restored(each)) for each in kept]
    merged = merged_on_server({"$concatArrays": changed})
    return Program(requires=(), actions=(Assign((((MERGED,), merged),), total=True), Assign(tuple(restored))))


def _restored(kept: KeptField) -> Expression:
    now, merged = Ref((kept.name,)), Ref((MERGED, kept.name))
    branches: list[dict[str, Any]] = [
        {"case": {"$not": [_is_kept(kept)]}, "then": now},
        {"case": {"$eq": [now, _said(kept, WAS)]}, "then": _said(kept, IS)},
        {"case": {"$ne": [{"$type": merged}, "missing"]}, "then": merged},
    ]
    return {"$switch": {"branches": branches, "default": now}}


def _is_kept(kept: KeptField) -> Expression:
    is_said = is_type(Ref((RESIDUE, str(kept.step), FIELDS, kept.name)), "object")
    return is_said if kept.when is None else {"$and": [kept.when, is_said]}


def _is_opened(kept: KeptField) -> Expression:
    return opened(_said(kept, IS), _said(kept, WAS), Ref((kept.name,)))


def _said(kept: KeptField, word: str) -> Ref:
    return Ref((RESIDUE, str(kept.step), FIELDS, kept.name, word))


def _looked_at(step: Step) -> set[FieldPath]:
    """Return every path that a step of operations reads or writes, also for its conditions."""
    paths: set[FieldPath] = set()
    for operation in step.operations:
        paths |= operation.reads | operation.writes
    for program in step.programs:
        paths.update(path for condition in program.requires for path in references(condition))
        for action in program.actions:
            paths.update(action.paths)
            paths |= action.refs if isinstance(action, Assign) else frozenset()
    return paths
