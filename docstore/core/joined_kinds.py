"""
Rewriting the joins of a pipeline, so that rows of other kinds come to their latest shape before they are looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.joining import free_variable, joins, local_values
from docstore.core.pipeline_paths import Join, Pipeline, join_of, within
from docstore.core.placed_rows import PlacedRows

#: Where a document holds, for two stages, the upgraded rows of a graph. docstore's own: it never leaves the server.
GRAPH: Final = "__docstore_graph"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """
    What comes first for what is joined: stages, and then the rows that Python has brought up, if there are any.
    """

    stages: Sequence[Mapping[str, Any]]
    placed: PlacedRows | None = None

    def first(self, documents: str | None = None) -> list[Mapping[str, Any]]:
        """Return all of it as stages; *documents* is that of `PlacedRows.stage`."""
        return [*self.stages, *([] if self.placed is None else [self.placed.stage(documents)])]


#: Gives what comes first for what is joined (None: nothing is needed), and tells of a field whether it changes it.
Upgrade = Callable[[Join], Upgraded | None]
Touches = Callable[[Join, str], bool]


def with_upgraded_joins(pipeline: Pipeline, upgrade: Upgrade, touches: Touches) -> list[dict[str, Any]]:
    """
    Return a pipeline whose stages that join see the latest shape, also within `$facet` and each other.

    An equality on a field that the upgrade changes is asked after it, as an expression with the same meaning; others
    stay where an index serves them. What a `$graphLookup` has found is brought up after it.
    """
    stages: list[dict[str, Any]] = []
    for stage in pipeline:
        operator, argument = next(iter(stage.items()))
        if operator == "$facet":
            parts = {name: with_upgraded_joins(part, upgrade, touches) for name, part in argument.items()}
            stages.append({operator: parts})
        elif operator in {"$lookup", "$unionWith"}:
            inner = with_upgraded_joins(within(argument), upgrade, touches)
            stages.append({operator: _joined(operator, argument, inner, upgrade, touches)})
        elif operator == "$graphLookup":
            join = join_of(operator, argument)
            upgraded = None if join is None else upgrade(join)
            stages += [dict(stage)] if upgraded is None else _followed(argument, upgraded)
        else:
            stages.append(dict(stage))
    return stages


def _joined(operator: str, argument: Any, inner: list[dict[str, Any]], upgrade: Upgrade, touches: Touches) -> Any:
    join = join_of(operator, argument)
    upgraded = None if join is None else upgrade(join)
    if join is None or upgraded is None:
        return {**argument, "pipeline": inner} if inner else argument
    if operator == "$unionWith":
        return {"coll": join.collection, "pipeline": [*upgraded.first(), *inner]}
    first, bound = _once(upgraded, argument)
    foreign = argument.get("foreignField")
    if foreign is None or not touches(join, foreign):
        return {**argument, **({"let": bound} if bound else {}), "pipeline": [*first, *inner]}
    local = free_variable(argument)
    kept = {name: value for name, value in argument.items() if name not in {"localField", "foreignField"}}
    return {
        **kept,
        "let": {**bound, local: local_values(argument["localField"])},
        "pipeline": [*first, {"$match": {"$expr": joins(foreign, local)}}, *inner],
    }


def _once(upgraded: Upgraded, lookup: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], dict[str, Any]]:
    """Return what comes first in a `$lookup`, and its variables: a server keeps what hangs on none of these."""
    bound = dict(lookup.get("let", {}))
    if upgraded.placed is None or not (bound or "localField" in lookup):
        return upgraded.first(), bound
    given = free_variable(lookup, "dsGiven")
    return upgraded.first(f"$${given}"), {**bound, given: upgraded.placed.literal}


def _followed(graph: Mapping[str, Any], upgraded: Upgraded) -> list[dict[str, Any]]:
    """Return a `$graphLookup` and the stages that bring up what it has found, by the ids."""
    found, depth = graph["as"], graph.get("depthField")
    argument = {"from": graph["from"], "localField": f"{found}._id", "foreignField": "_id", "as": GRAPH}
    first, bound = _once(upgraded, argument)
    row: Any = {"$arrayElemAt": [f"${GRAPH}", {"$indexOfArray": [f"${GRAPH}._id", "$$dsEach._id"]}]}
    if depth is not None:
        row = {"$mergeObjects": [row, {depth: f"$$dsEach.{depth}"}]}
    return [
        {"$graphLookup": dict(graph)},
        {"$lookup": {**argument, **({"let": bound} if bound else {}), "pipeline": first}},
        {"$set": {found: {"$map": {"input": f"${found}", "as": "dsEach", "in": row}}}},
        {"$unset": GRAPH},
    ]
