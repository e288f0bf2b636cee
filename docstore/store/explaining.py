"""Telling which way a query takes, and why, without running it."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from docstore.core.kind import Kind
from docstore.core.newer_steps import changing
from docstore.core.query import shown
from docstore.core.stale_branch import Way, start
from docstore.core.stale_pipelines import order_and_limits, union_of
from docstore.core.stale_query import Decision, decide, other_versions, rows_at
from docstore.mongo.driver import Driver
from docstore.mongo.plans import access_of, plan_of_find, plan_of_pipeline
from docstore.mongo.reading import RowSource
from docstore.mongo.stored_versions import stored_versions
from docstore.store.asked import Query
from docstore.store.deciding import Decided
from docstore.store.stale_query_in_memory import StaleQueriesInMemory

if TYPE_CHECKING:
    from docstore.store.stale_query import StaleQueries


class VersionExplained(BaseModel):
    """
    What a query does with the rows of one old version.

    *rows* counts all rows that stand there, whether they match or not. Rows without a tag have no *tag*; *version* is
    where they stand.
    """

    model_config = ConfigDict(frozen=True)

    version: int
    tag: int | None
    rows: int
    way: Way


class Explanation(BaseModel):
    """
    How a query is answered.

    Attributes:
        kind: Whose rows are asked.
        way: The way that is taken for the query as a whole: the most costly one that a version needs.
        reason: Why it is this one.
        paths: What the query looks at and a step changes.
        versions: The old versions that matter for these paths and at which rows are stored.
        absence: What is known of other versions without a look, and why no more; None where nothing had to be known.
        client_rows: How many rows Python has to upgrade; of a refusal, how many are in the way.
        ways_out: What to do about a refusal.
        access: The indexes that the server would use; "COLLSCAN" where it would look at every row.
        server_plan: The server's plan as its `explain` command gives it; None for a refusal, and on the mock.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    way: Way
    reason: str
    paths: tuple[str, ...] = ()
    versions: tuple[VersionExplained, ...] = ()
    absence: str | None = None
    client_rows: int = 0
    ways_out: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    server_plan: dict[str, Any] | None = None


async def explain(
    source: RowSource, kind: Kind[Any], stale: "StaleQueries | StaleQueriesInMemory", query: Query
) -> Explanation:
    """Tell how a query would be answered now; rows may be counted, and none is read."""
    if not query.is_touched(kind):
        decision = Decision(Way.AS_STORED, "no step changes what the query looks at")
        return await _explained(source, kind, None, decision, query)
    if isinstance(stale, StaleQueriesInMemory):
        stored = await stored_versions(source, kind.version_field, other_versions(kind))
        decision = decide(kind, query.paths, stored, filter=query.filter, sort=query.sort, in_client=query.in_client)
        return await _explained(source, kind, None, decision, query)
    async with AsyncExitStack() as stack:
        decided = await stale.decisions.settled(await stale.decisions.decided(stack, query, None), query)
    return await _explained(source, kind, stale, decided.decision, query, decided=decided)


async def _explained(
    source: RowSource,
    kind: Kind[Any],
    stale: "StaleQueries | None",
    decision: Decision,
    query: Query,
    *,
    decided: Decided | None = None,
) -> Explanation:
    plan, rows = None, 0 if decided is None else decided.client_rows
    if source.driver is not Driver.MOCK and decision.way is not Way.REFUSED:
        plan = await _plan(source, stale, decision, query)
    refusal = None
    if stale is not None and decision.way is Way.REFUSED:
        refusal = stale.decisions.stale(decision, rows, decision.reason)
    return Explanation(
        kind=kind.name,
        way=decision.way,
        reason=decision.reason,
        paths=tuple(shown(decision.touched or query.paths.touched(changing(kind)))),
        versions=await _versions(source, kind, decision),
        absence=None if decided is None else decided.absence.reason,
        client_rows=rows,
        ways_out=() if refusal is None else refusal.ways_out,
        access=() if plan is None else tuple(access_of(plan)),
        server_plan=plan,
    )


async def _versions(source: RowSource, kind: Kind[Any], decision: Decision) -> tuple[VersionExplained, ...]:
    ways = {branch.version: branch.way for branch in decision.branches}
    ways |= {version: Way.REFUSED for version in decision.versions if decision.way is Way.REFUSED}
    found: list[VersionExplained] = []
    for tag, way in ways.items():
        # The mock knows no `$expr`; there a tag that only equals a version is counted, too.
        which = {kind.version_field: tag} if source.driver is Driver.MOCK else rows_at(kind, [tag])
        rows = await source.count(which)
        found.append(VersionExplained(version=start(kind, tag), tag=tag, rows=rows, way=way))
    return tuple(found)


async def _plan(source: RowSource, stale: "StaleQueries | None", decision: Decision, query: Query) -> dict[str, Any]:
    if stale is None or decision.way in {Way.AS_STORED, Way.TRANSLATED}:
        asked = query.filter if stale is None or not decision.branches else stale.translated(query, decision)
        return await plan_of_find(
            source.database, source.name, asked, sort=query.sort, skip=query.skip, limit=query.limit
        )
    pipelines = stale.on_server(query, decision)
    declined = stale.left_to_python(decision)
    if declined is not None:
        pipelines.append([{"$match": declined}])
    stages = order_and_limits(query.sort, query.skip, query.limit)
    return await plan_of_pipeline(source.database, source.name, [*union_of(pipelines, source.name), *stages])
