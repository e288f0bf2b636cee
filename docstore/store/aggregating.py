"""
Aggregations that see the latest shape, whatever shape is stored, in this collection and in those of other kinds.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final, TypeAlias

from docstore.core.joined_kinds import with_upgraded_joins
from docstore.core.kind import Kind
from docstore.core.newer_steps import changing, standing, way_to_latest
from docstore.core.pipeline_paths import Join, Pipeline, joins_of, leading_filter, needed_paths
from docstore.core.query import query_path, shown, untouched_part
from docstore.core.residue import RESIDUE
from docstore.core.row_faults import brought, decoded
from docstore.core.stale_branch import start
from docstore.core.stale_pipelines import both_of, documents_pipeline, one_of
from docstore.core.stale_query import other_versions, rows_at, rows_elsewhere
from docstore.core.stale_residue import HAS_RESIDUE
from docstore.core.translation import translate
from docstore.core.upgrading_stages import UpgradingStages, upgrading_stages
from docstore.errors import DocumentError, NotCompilableError, StaleQueryError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.moment import Moment, Reads, enter_moment
from docstore.mongo.reading import Batches, RowSource, rows_of
from docstore.mongo.stored_tags import comparable_tag, stored_tags
from docstore.store.aggregated_rows import Side
from docstore.store.cursor import Report

#: How many rows Python may upgrade and send along, and their size in bytes as they are stored.
MAX_DECLINED_ROWS: Final = 1000
MAX_DECLINED_BYTES: Final = 4 * 1024 * 1024

#: What is read: other rows by a join, or (None) the kind's own.
_Key: TypeAlias = Join | None

_OWN: Final = None


class Aggregations:
    """
    Runs pipelines over the rows of one kind at the latest shape.

    Where rows below latest matter for it, stages that upgrade them stand before the first stage that could tell the
    difference. Which versions are stored is asked, and the pipeline is run, at one moment.

    Args:
        database: Where the rows are; on a real server.
        kind: The kind.
        kinds: The kinds of the store, by their collections.
    """

    def __init__(self, database: AnyDatabase, kind: Kind[Any], kinds: Mapping[str, Kind[Any]]) -> None:
        self._kind = kind
        self._kinds = kinds
        self._sources = {name: RowSource(database, name) for name in {*kinds, kind.collection}}

    async def batches(self, pipeline: Pipeline, *, report: Report | None, session: AnySession | None) -> Batches:
        """
        Yield the documents that a pipeline gives, in batches.

        Args:
            pipeline: What is asked.
            report: Takes the errors of rows that cannot be brought to latest, which are then left out.
            session: The user's session, if there is one.
        """
        own, sides = self._sides(pipeline)
        async with AsyncExitStack() as stack:
            if sides:
                pipeline, session = await self._prepared(stack, pipeline, sides, report=report, session=session)
            found = await stack.enter_async_context(aclosing(own.source.aggregate(pipeline, session=session)))
            async for batch in found:
                yield batch

    def _sides(self, pipeline: Pipeline) -> tuple[Side, dict[_Key, Side]]:
        """Return the kind's own side, and every side on which old rows could matter."""
        kind = self._kind
        narrowed = untouched_part(leading_filter(pipeline), changing(kind))
        own = Side(kind, self._sources[kind.collection], needed_paths(pipeline), narrowed)
        sides: dict[_Key, Side] = {
            join: self._joined(join) for join in joins_of(pipeline) if join.collection in self._kinds
        }
        if own.whole or any(own.matters(version) for version in other_versions(kind)):
            sides[_OWN] = own
        return own, sides

    def _joined(self, join: Join) -> Side:
        return Side(
            self._kinds[join.collection],
            self._sources[join.collection],
            join.paths,
            graph=join.graph,
            by_position=join.by_position,
        )

    async def _prepared(
        self,
        stack: AsyncExitStack,
        pipeline: Pipeline,
        sides: Mapping[_Key, Side],
        *,
        report: Report | None,
        session: AnySession | None,
    ) -> tuple[Pipeline, AnySession | None]:
        """Return the pipeline with what has to come before its stages, and the moment to run it at."""

        async def look(session: AnySession | None) -> dict[_Key, list[Any]]:
            return {key: await self._tags(side, session) for key, side in sides.items()}

        moment, tags = await enter_moment(stack, self._sources[self._kind.collection], session, look)
        ways: dict[_Key, UpgradingStages] = {}
        # Docstore's own field is shown to nobody.
        hidden: dict[_Key, list[Mapping[str, Any]]] = {}
        first: list[Mapping[str, Any]] = []
        for key, side in sides.items():
            told = report if key is _OWN else None
            unreadable = side.unreadable(tags[key])
            met = unreadable is not None and await self._meets(both_of(unreadable, side.narrowed), side, told, moment)
            residues = await side.residues.holds_rows(moment.session)
            hidden[key] = [{"$unset": [RESIDUE]}] if residues and side.whole else []
            way = await self._way(side, tags[key], moment, residues=residues)
            if way is not None and not met:
                narrowed = self._in_every_shape(side, way, leading_filter(pipeline)) if key is _OWN else {}
                alike = both_of(side.look_alikes(way.versions), narrowed)
                met = await self._meets(alike, side, told, moment)
            if met:
                first.append({"$match": side.readable()})
            if way is None:
                continue
            if key is not _OWN and way.declined and await side.source.holds(way.declined, session=moment.session):
                reason = "those that only Python can upgrade cannot be joined"
                raise await self._stale(side, way.declined, reason, moment)
            ways[key] = way

        def upgrade(join: Join) -> Sequence[Mapping[str, Any]] | None:
            way = ways.get(join)
            return [*([] if way is None else way.stages), *hidden.get(join, [])] or None

        def touches(join: Join, path: str) -> bool:
            return sides[join].changes(query_path(path))

        stages = with_upgraded_joins(pipeline, upgrade, touches)
        if _OWN in ways:
            first += await self._first(sides[_OWN], ways[_OWN], pipeline, report, moment)
        return [*first, *hidden.get(_OWN, []), *stages], moment.session

    async def _first(
        self, own: Side, way: UpgradingStages, pipeline: Pipeline, report: Report | None, moment: Moment
    ) -> list[Mapping[str, Any]]:
        """Return the stages that find the kind's own rows and bring them to latest."""
        narrowed = self._in_every_shape(own, way, leading_filter(pipeline))
        found: list[Mapping[str, Any]] = [{"$match": narrowed}] if narrowed else []
        declined = [] if way.declined is None else await self._declined(own, both_of(way.declined, narrowed), moment)
        if way.declined is None or not declined:
            return [*found, *way.stages]
        if moment.reads is Reads.TRANSACTION:
            reason = "a transaction cannot take rows that only Python can upgrade"
            raise await self._stale(own, way.declined, reason, moment)
        documents = list(_upgraded_rows(declined, own.kind, report))
        others = {"$match": {"$nor": [way.declined]}}
        given = {"$unionWith": {"coll": own.source.name, "pipeline": documents_pipeline(documents, {})}}
        return [*found, others, *way.stages, *([given] if documents else [])]

    def _in_every_shape(self, own: Side, ways: UpgradingStages, filter: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the pipeline's first filter says of the rows as they are stored, so that indexes serve it."""
        kind = own.kind
        earlier = {
            version: translate(filter, way_to_latest(kind, start(kind, version)), simple=ways.simple).filter
            for version in ways.versions
            if version is not None or kind.detect is None
        }
        if len(earlier) < len(ways.versions) or all(each == filter for each in earlier.values()):
            return own.narrowed
        elsewhere = both_of(filter, rows_elsewhere(kind, ways.versions))
        # No filter says what rows keep beside the shape in which they are stored.
        kept = [both_of(own.narrowed, HAS_RESIDUE)] if ways.residues else []
        old = (both_of(each, rows_at(kind, [version])) for version, each in earlier.items())
        return one_of([elsewhere, *old, *kept])

    async def _tags(self, side: Side, session: AnySession | None) -> list[Any]:
        # A narrower look is quicker where an id is given; elsewhere it would keep the index on the tag from answering.
        narrowed = side.narrowed if "_id" in side.narrowed else None
        return await stored_tags(side.source, side.kind.version_field, narrowed=narrowed, session=session)

    async def _meets(self, asked: Mapping[str, Any], side: Side, report: Report | None, moment: Moment) -> bool:
        """Raise the error of a row that takes part and that this code cannot read; or report all, and tell of it."""
        met = False
        async with aclosing(side.source.find(asked, session=moment.session)) as found:
            async for batch in found:
                for raw in rows_of(batch):
                    met = True
                    try:
                        standing(side.kind, decoded(raw, side.kind))
                    except DocumentError as error:
                        if report is None:
                            raise
                        report(error)
        return met

    async def _way(self, side: Side, tags: Sequence[Any], moment: Moment, *, residues: bool) -> UpgradingStages | None:
        """Return how the side's old rows come to latest; None where none matter."""
        kind = side.kind
        there = {comparable_tag(tag) for tag in tags}
        mattering = [version for version in other_versions(kind) if version in there and side.matters(version)]
        if not mattering:
            return None
        old = rows_at(kind, mattering)
        reason = None
        if side.paths.first_only:
            reason = f"{', '.join(sorted(side.paths.first_only))} cannot be asked of a row after its upgrade"
        elif side.graph:
            reason = "$graphLookup follows rows as they are stored"
        elif side.by_position is not None and side.changes(side.by_position):
            reason = "the array position in the foreignField cannot be asked of a row after its upgrade"
        elif moment.reads is Reads.NOTHING:
            reason = "a standalone server cannot read them all at one moment (a replica set can)"
        way = None
        if reason is None:
            try:
                python_only = await side.source.has_collation()
                way = upgrading_stages(kind, mattering, side.paths.paths, python_only=python_only, residues=residues)
            except NotCompilableError as error:
                reason = f"{error.operation}: {error.reason}"
        if reason is not None:
            standing = {"$and": [old, side.narrowed]}
            if not await side.source.holds(standing, session=moment.session):
                return None
            raise await self._stale(side, old, reason, moment)
        return way

    async def _declined(self, side: Side, filter: Mapping[str, Any], moment: Moment) -> list[bytes]:
        """Return the rows that Python has to upgrade."""
        rows: list[bytes] = []
        size = 0
        async with aclosing(side.source.find(filter, session=moment.session)) as found:
            async for batch in found:
                rows.extend(rows_of(batch))
                size += len(batch)
                if len(rows) > MAX_DECLINED_ROWS or size > MAX_DECLINED_BYTES:
                    bounds = f"{MAX_DECLINED_ROWS} rows or {MAX_DECLINED_BYTES >> 20} MB"
                    reason = f"they have to be upgraded in Python, more than {bounds} of them"
                    raise await self._stale(side, filter, reason, moment)
        return rows

    async def _stale(self, side: Side, filter: Mapping[str, Any], reason: str, moment: Moment) -> StaleQueryError:
        kind = side.kind
        rows = await side.source.count({"$and": [filter, side.narrowed]}, session=moment.session)
        touched = side.paths.touched(changing(kind))
        versions = sorted({start(kind, version) for version in other_versions(kind) if side.matters(version)})
        return StaleQueryError(kind=kind.name, paths=shown(touched), versions=versions, rows=rows, reason=reason)


def _upgraded_rows(rows: Sequence[bytes], kind: Kind[Any], report: Report | None) -> Iterator[dict[str, Any]]:
    for raw in rows:
        try:
            yield brought(raw, kind)
        except DocumentError as error:
            if report is None:
                raise
            report(error)
