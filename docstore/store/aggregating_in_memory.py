"""
The same on the mock, which has neither the stages nor snapshots: rows are upgraded and held in memory.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

from docstore.core.bson_values import RawDocument
from docstore.core.kind import Kind
from docstore.core.newer_steps import changing, standing, writes_on_way
from docstore.core.pipeline_paths import Pipeline, joins_of, needed_paths, written_collections
from docstore.core.query import EVERYTHING, QueryPaths, shown
from docstore.core.row_faults import brought, decoded
from docstore.core.stale_branch import start
from docstore.core.stale_query import other_versions, stands_at
from docstore.core.upgrading_stages import upgrading_stages
from docstore.errors import DocumentError, NotCompilableError, QueryRefusedError, StaleQueryError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.reading import RowSource
from docstore.mongo.scratch import aggregate_in_memory
from docstore.store.cursor import Report


class AggregationsInMemory:
    """`Aggregations` for users' quick unit tests: the bounds are those of memory, and the stages those of mongomock."""

    def __init__(self, database: AnyDatabase, kind: Kind[Any], kinds: Mapping[str, Kind[Any]]) -> None:
        self._database = database
        self._kind = kind
        self._kinds = {**kinds, kind.collection: kind}

    async def batches(
        self, pipeline: Pipeline, *, report: Report | None, session: AnySession | None
    ) -> AsyncGenerator[bytes, None]:
        """See `Aggregations.batches`."""
        del session
        asked: dict[str, list[QueryPaths]] = {self._kind.collection: [needed_paths(pipeline)]}
        for join in joins_of(pipeline):
            asked.setdefault(join.collection, []).append(join.paths)
        if any(written_collections(pipeline)):
            raise QueryRefusedError(
                kind=self._kind.name,
                reason="it writes, and on mongomock it would write into a copy",
                advice="test $out and $merge on a real server; docstore.embedded starts one",
            )
        held: dict[str, list[RawDocument]] = {}
        for name, paths in asked.items():
            rows = [raw async for raw in RowSource(self._database, name).find({})]
            kind = self._kinds.get(name)
            if kind is None:
                held[name] = [decoded(raw, self._kind) for raw in rows]
            else:
                held[name] = list(_latest(rows, kind, paths, report if kind is self._kind else None))
        for row in aggregate_in_memory(held, self._kind.collection, pipeline):
            yield row


def _latest(
    rows: Sequence[bytes], kind: Kind[Any], asked: Sequence[QueryPaths], report: Report | None
) -> Iterator[RawDocument]:
    """Yield rows at latest, where anything that is asked depends on it."""
    everything = any(EVERYTHING in paths.paths or paths.names(kind.version_field) for paths in asked)
    mattering = [
        version
        for version in other_versions(kind)
        if everything or any(paths.touched(writes_on_way(kind, start(kind, version))) for paths in asked)
    ]
    old = sum(stands_at(kind, decoded(raw, kind), mattering) for raw in rows)
    for paths in asked if old else ():
        try:
            upgrading_stages(kind, mattering, paths.paths)
        except NotCompilableError as error:
            versions = sorted({start(kind, version) for version in mattering})
            touched = shown(paths.touched(changing(kind)))
            reason = f"{error.operation}: {error.reason}"
            raise StaleQueryError(kind=kind.name, paths=touched, versions=versions, rows=old, reason=reason) from error
    for raw in rows:
        row = decoded(raw, kind)
        try:
            if mattering:
                standing(kind, row)
            yield brought(raw, kind) if stands_at(kind, row, mattering) else row
        except DocumentError as error:
            if report is None:
                raise
            report(error)
