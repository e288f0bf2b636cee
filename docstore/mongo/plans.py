"""How the server would run a query: its plan, as the `explain` command tells it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docstore.core.extended_json import to_text
from docstore.mongo.driver import AnyDatabase, settled
from docstore.mongo.failures import translated
from docstore.mongo.reading import SortKeys

#: What the plan repeats of the question, and the rows that were sent along with it.
_ASKED = frozenset({"parsedQuery", "command", "serverInfo", "serverParameters", "$clusterTime", "operationTime", "ok"})


async def plan_of_find(
    database: AnyDatabase,
    collection: str,
    filter: Mapping[str, Any],
    *,
    sort: SortKeys = (),
    skip: int = 0,
    limit: int = 0,
) -> dict[str, Any]:
    """Return the plan of a find as plain JSON values; nothing is run."""
    asked: dict[str, Any] = {"find": collection, "filter": dict(filter), "skip": skip, "limit": abs(limit)}
    if sort:
        asked["sort"] = dict(sort)
    return await _plan(database, asked)


async def plan_of_pipeline(
    database: AnyDatabase, collection: str, pipeline: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the plan of an aggregation as plain JSON values; nothing is run."""
    asked = {"aggregate": collection, "pipeline": list(pipeline), "cursor": {}, "allowDiskUse": True}
    return await _plan(database, asked)


def access_of(plan: Any) -> list[str]:
    """Return how the plan reaches rows: the names of its indexes, and COLLSCAN where it looks at every row."""
    return list(dict.fromkeys(_accesses(plan)))


def _accesses(plan: Any) -> Iterator[str]:
    if isinstance(plan, Mapping):
        if plan.get("stage") == "COLLSCAN":
            yield "COLLSCAN"
        elif plan.get("stage") == "IDHACK":
            yield "_id_"
        elif "stage" in plan and "indexName" in plan:
            yield str(plan["indexName"])
        for key, value in plan.items():
            if key != "rejectedPlans":
                yield from _accesses(value)
    elif isinstance(plan, list):
        for item in plan:
            yield from _accesses(item)


async def _plan(database: AnyDatabase, asked: Mapping[str, Any]) -> dict[str, Any]:
    with translated():
        answer = await settled(database.command({"explain": dict(asked), "verbosity": "queryPlanner"}))
    plan: dict[str, Any] = json.loads(to_text(_without_the_question(answer)))
    return plan


def _without_the_question(plan: Any) -> Any:
    if isinstance(plan, Mapping):
        return {key: _without_the_question(value) for key, value in plan.items() if key not in _ASKED}
    return [_without_the_question(item) for item in plan] if isinstance(plan, list) else plan
