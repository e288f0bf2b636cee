"""
Telling how a pipeline would be answered, and why, without running it.
"""

from contextlib import AsyncExitStack
from typing import Any

from docstore.core.newer_steps import changing
from docstore.core.query import shown
from docstore.core.row_wise import parted
from docstore.core.stale_branch import Way, start
from docstore.core.stale_query import rows_at
from docstore.errors import StaleQueryError
from docstore.mongo.plans import access_of, plan_of_pipeline
from docstore.store.aggregated_rows import Side
from docstore.store.explaining import Explanation, VersionExplained
from docstore.store.preparing_pipelines import Asked, Preparation, Prepared

#: Why a pipeline is answered in a way, where nothing refuses it.
REASONS = {
    Way.AS_STORED: "no old rows are stored that matter for the pipeline",
    Way.UPGRADED: "operations make what the pipeline needs of old rows",
    Way.IN_CLIENT: "only Python can upgrade some of the old rows that the pipeline needs",
}


async def explain_pipeline(preparation: Preparation, asked: Asked) -> Explanation:
    """
    Tell how a pipeline would be answered now; a refusal is told, not raised.

    Rows are counted, and none is read. So what shows only when rows are read is not foreseen: rows that no step can
    upgrade, and more bytes of them than may be held.
    """
    own, sides = preparation.sides(asked.pipeline)
    asked.course.way = Way.AS_STORED
    prepared = Prepared([], parted(asked.pipeline), None)
    async with AsyncExitStack() as stack:
        try:
            if sides:
                prepared = await preparation.prepared(stack, asked, sides, session=None)
        except StaleQueryError as refusal:
            return await _refused(own, refusal)
    way = asked.course.way
    plan = await plan_of_pipeline(own.source.database, own.source.name, prepared.sent)
    versions: list[VersionExplained] = []
    upgraded, in_client = ((), ()) if prepared.way is None else (prepared.way.versions, prepared.way.in_client)
    for version in upgraded:
        taken = Way.IN_CLIENT if version in in_client else Way.UPGRADED
        rows = await own.source.count(rows_at(own.kind, [version]))
        versions.append(VersionExplained(version=start(own.kind, version), tag=version, rows=rows, way=taken))
    return Explanation(
        kind=own.kind.name,
        way=way,
        reason=REASONS[way],
        paths=_paths(own),
        versions=tuple(versions),
        client_rows=asked.course.client_rows,
        access=tuple(access_of(plan)),
        server_plan=plan,
    )


async def _refused(own: Side, refusal: StaleQueryError) -> Explanation:
    kind = own.kind
    is_own = refusal.kind == kind.name
    versions: list[VersionExplained] = []
    for version in refusal.versions if is_own else ():
        rows = await own.source.count(rows_at(kind, [version]))
        if rows:
            versions.append(VersionExplained(version=version, tag=version, rows=rows, way=Way.REFUSED))
    return Explanation(
        kind=kind.name,
        way=Way.REFUSED,
        reason=refusal.reason if is_own else f"of {refusal.kind}, which is joined: {refusal.reason}",
        paths=refusal.paths,
        versions=tuple(versions),
        client_rows=refusal.rows,
        ways_out=refusal.ways_out,
    )


def _paths(own: Side) -> tuple[str, ...]:
    kind: Any = own.kind
    return tuple(shown(own.paths.touched(changing(kind))))
