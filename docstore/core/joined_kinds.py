"""
Rewriting the joins of a pipeline, so that rows of other kinds come to their latest shape before they are looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from docstore.core.joining import free_variable, joins, local_values
from docstore.core.pipeline_paths import Join, Pipeline, join_of, within

#: Gives the stages that come first for what is joined (None: none are needed), and tells of a field whether they
#: change it.
Upgrade = Callable[[Join], Sequence[Mapping[str, Any]] | None]
Touches = Callable[[Join, str], bool]


def with_upgraded_joins(pipeline: Pipeline, upgrade: Upgrade, touches: Touches) -> list[dict[str, Any]]:
    """
    Return a pipeline whose `$lookup` and `$unionWith` stages see the latest shape, also within `$facet` and each other.

    An equality on a field that the upgrade changes is asked after it, as an expression with the same meaning; others
    stay where an index serves them.
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
        else:
            stages.append(dict(stage))
    return stages


def _joined(operator: str, argument: Any, inner: list[dict[str, Any]], upgrade: Upgrade, touches: Touches) -> Any:
    join = join_of(operator, argument)
    first = None if join is None else upgrade(join)
    if join is None or first is None:
        return {**argument, "pipeline": inner} if inner else argument
    if operator == "$unionWith":
        return {"coll": join.collection, "pipeline": [*first, *inner]}
    foreign = argument.get("foreignField")
    if foreign is None or not touches(join, foreign):
        return {**argument, "pipeline": [*first, *inner]}
    local = free_variable(argument)
    kept = {name: value for name, value in argument.items() if name not in {"localField", "foreignField"}}
    return {
        **kept,
        "let": {**argument.get("let", {}), local: local_values(argument["localField"])},
        "pipeline": [*first, {"$match": {"$expr": joins(foreign, local)}}, *inner],
    }
