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
from docstore.core.residue import RESIDUE
from docstore.core.row_faults import brought, decoded
from docstore.core.stale_branch import StoredVersion, Way, start
from docstore.core.stale_query import other_versions, stands_at
from docstore.core.upgrading_stages import upgrading_stages
from docstore.errors import DocumentError, NotCompilableError, QueryRefusedError, StaleQueryError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.reading import RowSource
from docstore.mongo.scratch import aggregate_in_memory
from docstore.store.asked import Course
from docstore.store.cursor import Report
from docstore.store.explaining import Explanation
from docstore.store.explaining_pipelines import REASONS


class AggregationsInMemory:
    """`Aggregations` for users' quick unit tests: the bounds are those of memory, and the stages those of mongomock."""

    def __init__(self, database: AnyDatabase, kind: Kind[Any], kinds: Mapping[str, Kind[Any]]) -> None:
        self._database = database
        self._kind = kind
        self._kinds = {**kinds, kind.collection: kind}

    async def batches(
        self,
        pipeline: Pipeline,
        *,
        report: Report | None,
        session: AnySession | None,
        in_client: bool = False,
        course: Course | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """See `Aggregations.batches`."""
        del session
        course = course or Course()
        course.way = Way.AS_STORED
        if any(written_collections(pipeline)):
            raise QueryRefusedError(
                kind=self._kind.name,
                reason="it writes, and on mongomock it would write into a copy",
                advice="test $out and $merge on a real server; docstore.embedded starts one",
            )
        held = await self._held(pipeline, course, report, in_client=in_client)
        for row in aggregate_in_memory(held, self._kind.collection, pipeline):
            yield row

    async def explain(self, pipeline: Pipeline, *, in_client: bool = False) -> Explanation:
        """See `Aggregations.explain`; the mock has no plans."""
        course = Course(Way.AS_STORED)
        try:
            await self._held(pipeline, course, lambda _: None, in_client=in_client)
        except StaleQueryError as refusal:
            return Explanation(
                kind=self._kind.name,
                way=Way.REFUSED,
                reason=refusal.reason,
                paths=refusal.paths,
                client_rows=refusal.rows,
                ways_out=refusal.ways_out,
            )
        way = course.way or Way.AS_STORED
        return Explanation(kind=self._kind.name, way=way, reason=REASONS[way], client_rows=course.client_rows)

    async def _held(
        self, pipeline: Pipeline, course: Course, report: Report | None, *, in_client: bool
    ) -> dict[str, list[RawDocument]]:
        """Return the documents of each collection that takes part, as the pipeline is to see them."""
        asked: dict[str, list[QueryPaths]] = {self._kind.collection: [needed_paths(pipeline)]}
        for join in joins_of(pipeline):
            asked.setdefault(join.collection, []).append(join.paths)
        held: dict[str, list[RawDocument]] = {}
        for name, paths in asked.items():
            rows = [raw async for raw in RowSource(self._database, name).find({})]
            kind = self._kinds.get(name)
            if kind is None:
                held[name] = [decoded(raw, self._kind) for raw in rows]
                continue
            own = kind is self._kind
            latest = _Latest(rows, kind, paths, in_client=in_client)
            held[name] = list(latest.documents(report if own else None))
            course.client_rows += latest.client_rows
            course.way = _costlier(course.way or Way.AS_STORED, latest.way)
        return held


class _Latest:
    """
    Rows at latest, where anything that is asked depends on it; with *in_client* it may depend on functions.
    """

    def __init__(
        self,
        rows: Sequence[bytes],
        kind: Kind[Any],
        asked: Sequence[QueryPaths],
        *,
        in_client: bool,
    ) -> None:
        everything = any(EVERYTHING in paths.paths or paths.names(kind.version_field) for paths in asked)
        self._rows = rows
        self._kind = kind
        self._mattering = [
            version
            for version in other_versions(kind)
            if everything or any(paths.touched(writes_on_way(kind, start(kind, version))) for paths in asked)
        ]
        old = self._standing(self._mattering)
        self.client_rows = 0
        self.way = Way.UPGRADED if old else Way.AS_STORED
        for paths in asked if old else ():
            try:
                way = upgrading_stages(kind, self._mattering, paths.paths, allow_client=in_client)
            except NotCompilableError as error:
                versions = sorted({start(kind, version) for version in self._mattering})
                touched = shown(paths.touched(changing(kind)))
                reason = f"{error.operation}: {error.reason}"
                raise StaleQueryError(
                    kind=kind.name, paths=touched, versions=versions, rows=old, reason=reason, client_can=True
                ) from error
            self.client_rows = max(self.client_rows, self._standing(way.in_client))
        if self.client_rows:
            self.way = Way.IN_CLIENT

    def documents(self, report: Report | None) -> Iterator[RawDocument]:
        """Yield the rows; those that cannot be read are reported and left out, or raised."""
        for raw in self._rows:
            row = decoded(raw, self._kind)
            try:
                if self._mattering:
                    standing(self._kind, row)
                latest = brought(raw, self._kind) if stands_at(self._kind, row, self._mattering) else row
            except DocumentError as error:
                if report is None:
                    raise
                report(error)
                continue
            latest.pop(RESIDUE, None)
            yield latest

    def _standing(self, versions: Sequence[StoredVersion]) -> int:
        return sum(stands_at(self._kind, decoded(raw, self._kind), versions) for raw in self._rows)


def _costlier(one: Way, other: Way) -> Way:
    return max(one, other, key=list(Way).index)
