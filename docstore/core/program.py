"""
From programs to MongoDB: a chain's operations as one update pipeline plus one filter expression.

The pipeline is the operations' actions in order, neighbours fused where no order could be told apart. The filter is
every operation's conditions: those that speak of paths no earlier operation wrote are asked of the stored row itself,
the others of the row as it would be by then, built with `$let`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from docstore.core.compaction import Compaction, Move, Rebuild
from docstore.core.expressions import ROOT, Expression, Literal, Ref, both, is_type, references, render
from docstore.core.operation import Action, Assign, Program, Remove
from docstore.core.paths import FieldPath, dotted, overlap_any

#: A server refuses BSON nested more than 100 levels deep in a command (`maxBSONDepth` is 200, drivers and the
#: command envelope need room).
MAX_DEPTH = 140


@dataclass(slots=True)
class _Stage:
    """A `$set` followed by an `$unset`, still growing; before them, the row may be rebuilt."""

    rebuilds: bool = False
    assigned: list[tuple[FieldPath, Expression]] = field(default_factory=list)
    removed: list[FieldPath] = field(default_factory=list)

    def takes(self, action: Action) -> bool:
        """Tell whether the action can join without any document telling the difference."""
        if isinstance(action, Remove):
            return not any(overlap_any(path, self.removed) for path in action.paths)
        assigned = [path for path, _ in self.assigned]
        touched = (*action.paths, *action.refs)
        return not any(overlap_any(path, assigned) or overlap_any(path, self.removed) for path in touched)

    def add(self, action: Action) -> None:
        if isinstance(action, Remove):
            self.removed.extend(action.paths)
        else:
            self.assigned.extend(action.values)


def pipeline(programs: Sequence[Program], *, first: Sequence[tuple[str, Any]] = ()) -> list[dict[str, Any]]:
    """
    Return the programs as `$set` and `$unset` stages; with a `$replaceWith` where a removed field comes back.

    Args:
        programs: In the order in which they run.
        first: Top-level fields and plain values that are set before everything else (the tag).
    """
    actions = [action for program in programs for action in program.actions]
    stages = [_Stage(assigned=[((name,), Literal(value)) for name, value in first])]
    for move in Compaction().expand(actions):
        if isinstance(move, Rebuild):
            stages.append(_Stage(rebuilds=True))
            continue
        if not stages[-1].takes(move):
            stages.append(_Stage())
        stages[-1].add(move)
    rendered: list[dict[str, Any]] = []
    for stage in stages:
        if stage.rebuilds:
            rendered.append({"$replaceWith": {"$mergeObjects": ["$$ROOT"]}})
        if stage.assigned:
            rendered.append({"$set": {dotted(path): render(value) for path, value in stage.assigned}})
        if stage.removed:
            rendered.append({"$unset": [dotted(path) for path in stage.removed]})
    return rendered


def conditions(programs: Sequence[Program], scope: str = ROOT) -> Expression:
    """
    Return one expression: true where all programs, one after the other, give what Python gives.

    Args:
        programs: In the order in which they run.
        scope: The variable that holds the document at hand; `ROOT` is the stored row.
    """
    direct: list[Expression] = []
    later: list[list[Expression]] = []
    written: list[FieldPath] = []
    for program in programs:
        needs_state: list[Expression] = []
        for condition in program.requires:
            seen = any(overlap_any(path, written) for path in references(condition))
            (needs_state if seen else direct).append(condition)
        later.append(needs_state)
        written.extend(path for action in program.actions for path in action.paths)
    rendered = [render(condition, scope) for condition in _unique(direct)]
    steps = list(zip(_needed_actions(programs, later), later, strict=True))
    nested = _conditions_along(steps, scope)
    return both(rendered if nested is None else [*rendered, nested])


def _unique(items: Sequence[Expression]) -> list[Expression]:
    kept: list[Expression] = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return kept


def _needed_actions(programs: Sequence[Program], later: Sequence[list[Expression]]) -> list[list[Action]]:
    """
    Return, for every program, what of its actions a later condition can see, directly or through other actions.
    """
    needed: set[FieldPath] = set()
    kept: list[list[Action]] = []
    for program, asked in zip(reversed(programs), reversed(later), strict=True):
        actions: list[Action] = []
        for action in reversed(program.actions):
            seen = [path for path in action.paths if overlap_any(path, needed)]
            if not seen:
                continue
            if isinstance(action, Remove):
                actions.append(Remove(tuple(seen)))
            else:
                part = Assign(tuple((path, value) for path, value in action.values if path in seen))
                needed |= part.refs
                actions.append(part)
        kept.append(actions[::-1])
        needed.update(path for condition in asked for path in references(condition))
    return kept[::-1]


def _conditions_along(steps: Sequence[tuple[list[Action], list[Expression]]], scope: str) -> Expression | None:
    """
    Return what the conditions of the steps ask, with the document before the first of them in variable *scope*.
    """
    if not steps:
        return None
    (actions, asked), *rest = steps
    here = [render(condition, scope) for condition in asked]
    name = f"{scope or 'dsRow'}B" if actions else scope
    after = _conditions_along(rest, name)
    if after is not None:
        # Whether a field comes back in its old place is nothing that a condition sees.
        here.append({"$let": {"vars": {name: _transformed(actions, scope)}, "in": after}} if actions else after)
    return both(here) if here else None


def transformed(actions: Sequence[Action], scope: str) -> Any:
    """Return an expression for the document in variable *scope* after the actions."""
    compaction = Compaction()
    return _transformed([*compaction.expand(actions), *compaction.finish()], scope)


def _transformed(moves: Sequence[Move], scope: str) -> Any:
    if not moves:
        return render(Ref(()), scope)
    name = f"{scope or 'dsRow'}N"
    after = _after(moves[0], scope)
    if len(moves) == 1:
        return after
    return {"$let": {"vars": {name: after}, "in": _transformed(moves[1:], name)}}


def _after(action: Move, scope: str) -> Any:
    document: Any = render(Ref(()), scope)
    if isinstance(action, Rebuild):
        return {"$mergeObjects": [document]}
    if isinstance(action, Remove):
        for path in action.paths:
            document = _without(document, path)
        return document
    for path, value in action.values:
        # `render(value, scope)` reads the document before the action, whatever was already put into `document`.
        document = _with(document, path, render(value, scope))
    return document


def _with(document: Any, path: FieldPath, value: Any) -> Any:
    """Return an expression for *document* with the field at *path* set (or removed, where *value* is missing)."""
    head, rest = path[0], path[1:]
    if not rest:
        return {"$setField": {"field": {"$literal": head}, "input": document, "value": value}}
    # One variable serves every depth: an inner one hides the outer, which is no longer needed there. The value must
    # not see it, so it is bound outside.
    inner = {"$cond": [is_type("$$dsChild", "object"), "$$dsChild", {"$literal": {}}]}
    return {
        "$let": {
            "vars": {"dsDocument": document, "dsNew": value},
            "in": {
                "$setField": {
                    "field": {"$literal": head},
                    "input": "$$dsDocument",
                    "value": {
                        "$let": {
                            "vars": {"dsChild": {"$getField": {"field": {"$literal": head}, "input": "$$dsDocument"}}},
                            "in": _with(inner, rest, "$$dsNew"),
                        }
                    },
                }
            },
        }
    }


def _without(document: Any, path: FieldPath) -> Any:
    """Return an expression for *document* without the field at *path*."""
    head, rest = path[0], path[1:]
    if not rest:
        return {"$unsetField": {"field": {"$literal": head}, "input": document}}
    child = {"$getField": {"field": {"$literal": head}, "input": "$$dsDocument"}}
    return {
        "$let": {
            "vars": {"dsDocument": document},
            "in": {
                "$cond": [
                    is_type(child, "object"),
                    {
                        "$setField": {
                            "field": {"$literal": head},
                            "input": "$$dsDocument",
                            "value": _without(child, rest),
                        }
                    },
                    "$$dsDocument",
                ]
            },
        }
    }


def depth(value: Any) -> int:
    """Return how many levels of documents and arrays a rendered expression nests."""
    if isinstance(value, dict):
        return 1 + max((depth(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth(item) for item in value), default=0)
    return 0


def touched(programs: Sequence[Program]) -> frozenset[FieldPath]:
    """Return every path that the programs assign or remove."""
    return frozenset(path for program in programs for action in program.actions for path in action.paths)
