"""
Aggregations that see the latest shape, whatever shape is stored, in this collection and in those of other kinds.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import structlog

from docstore.core.joined_kinds import with_upgraded_joins
from docstore.core.kind import Kind
from docstore.core.pipeline_paths import Join, Pipeline, joins_of, leading_filter, needed_paths
from docstore.core.query import query_path, untouched_part
from docstore.core.row_wise import Parted, parted
from docstore.core.stale_pipelines import both_of, documents_pipeline, one_of
from docstore.core.stale_query import Way, old_versions, rows_at, rows_elsewhere, start
from docstore.core.translation import translate
from docstore.core.upgrading_stages import UpgradingStages
from docstore.errors import StaleQueryError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.moment import Moment, Reads, enter_moment
from docstore.mongo.reading import Batches, RowSource
from docstore.store.aggregated_rows import Side
from docstore.store.aggregating_in_client import HELD_BYTES, ClientParts, upgraded_rows
from docstore.store.asked import Course
from docstore.store.cursor import Report
from docstore.store.upgrading_sides import bounds, declined_rows, meets, stale_side, tags_of, way_of

#: What is read: other rows by a join, or (None) the kind's own.
_Key: TypeAlias = Join | None

_OWN: Final = None

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """
    What is sent: stages that find the rows and bring them to latest, then the pipeline's own.

    *left* finds the rows that the client reads part by part, where there are any.
    """

    first: Sequence[Mapping[str, Any]]
    stages: Sequence[Mapping[str, Any]]
    session: AnySession | None
    left: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A pipeline, whether the client may read any number of rows for it, and who takes errors and the course."""

    pipeline: Pipeline
    in_client: bool
    report: Report | None
    course: Course


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

    async def batches(
        self,
        pipeline: Pipeline,
        *,
        report: Report | None,
        session: AnySession | None,
        in_client: bool = False,
        course: Course | None = None,
    ) -> Batches:
        """
        Yield the documents that a pipeline gives, in batches.

        Args:
            pipeline: What is asked.
            report: Takes the errors of rows that cannot be brought to latest, which are then left out.
            session: The user's session, if there is one.
            in_client: Read and upgrade rows that only Python can upgrade, however many.
            course: Takes how the pipeline is answered.
        """
        asked = _Asked(pipeline, in_client, report, course or Course())
        own, sides = self._sides(pipeline)
        async with AsyncExitStack() as stack:
            prepared = _Prepared([], pipeline, session)
            asked.course.way = Way.AS_STORED
            if sides:
                prepared = await self._prepared(stack, asked, sides, session=session)
            if prepared.left is not None:
                async for batch in self._with_parts(own, asked, prepared, prepared.left):
                    yield batch
                return
            sent = [*prepared.first, *prepared.stages]
            found = await stack.enter_async_context(aclosing(own.source.aggregate(sent, session=prepared.session)))
            async for batch in found:
                yield batch

    async def _with_parts(self, own: Side, asked: _Asked, prepared: _Prepared, left: Mapping[str, Any]) -> Batches:
        """Yield the documents of a pipeline of which some rows are read by the client."""
        two = parted(asked.pipeline)
        each, rest = prepared.stages[: len(two.each)], prepared.stages[len(two.each) :]
        parts = ClientParts(own.source, own.kind, report=asked.report, session=prepared.session)
        sent: list[Mapping[str, Any]] = [*prepared.first, *each]
        if rest:
            held = await parts.held(left, two, each)
            if held is None:
                raise await self._too_much(own, prepared, left, two)
            sent += two.kept
            if held:
                sent.append({"$unionWith": {"coll": own.source.name, "pipeline": documents_pipeline(held, {})}})
            sent += rest
        async with aclosing(own.source.aggregate(sent, session=prepared.session)) as found:
            async for batch in found:
                yield batch
        if not rest:
            async with aclosing(parts.results(left, each)) as results:
                async for batch in results:
                    yield batch

    def _sides(self, pipeline: Pipeline) -> tuple[Side, dict[_Key, Side]]:
        """Return the kind's own side, and every side on which old rows could matter."""
        kind = self._kind
        narrowed = untouched_part(leading_filter(pipeline), kind.writes(kind.floor, kind.latest))
        own = Side(kind, self._sources[kind.collection], needed_paths(pipeline), narrowed)
        sides: dict[_Key, Side] = {
            join: self._joined(join) for join in joins_of(pipeline) if join.collection in self._kinds
        }
        if own.whole or any(own.matters(version) for version in old_versions(kind)):
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
        self, stack: AsyncExitStack, asked: _Asked, sides: Mapping[_Key, Side], *, session: AnySession | None
    ) -> _Prepared:
        """Return the pipeline with what has to come before its stages, and the moment to run it at."""
        pipeline = asked.pipeline

        async def look(session: AnySession | None) -> dict[_Key, list[Any]]:
            return {key: await tags_of(side, session) for key, side in sides.items()}

        moment, tags = await enter_moment(stack, self._sources[self._kind.collection], session, look)
        ways: dict[_Key, UpgradingStages] = {}
        first: list[Mapping[str, Any]] = []
        for key, side in sides.items():
            way, met = await self._way(side, tags[key], asked, moment, is_own=key is _OWN)
            if met:
                first.append({"$match": side.readable()})
            if way is not None:
                ways[key] = way

        def upgrade(join: Join) -> Sequence[Mapping[str, Any]] | None:
            way = ways.get(join)
            return None if way is None else way.stages

        def touches(join: Join, path: str) -> bool:
            return sides[join].changes(query_path(path))

        stages = with_upgraded_joins(pipeline, upgrade, touches)
        if ways:
            asked.course.way = Way.UPGRADED
        if _OWN not in ways:
            return _Prepared(first, stages, moment.session)
        found, left = await self._first(sides[_OWN], ways[_OWN], asked, moment)
        return _Prepared([*first, *found], stages, moment.session, left)

    async def _way(
        self, side: Side, tags: Sequence[Any], asked: _Asked, moment: Moment, *, is_own: bool
    ) -> tuple[UpgradingStages | None, bool]:
        """Return how a side's old rows come to latest; and whether there are rows that have to be left out."""
        report = asked.report if is_own else None
        unreadable = side.unreadable(tags)
        met = unreadable is not None and await meets(both_of(unreadable, side.narrowed), side, report, moment)
        way = await way_of(side, tags, moment, is_own=is_own, in_client=asked.in_client)
        if way is None:
            return None, met
        if not met:
            narrowed = self._in_every_shape(side, way, leading_filter(asked.pipeline)) if is_own else {}
            met = await meets(both_of(side.look_alikes(way.versions), narrowed), side, report, moment)
        if not is_own and way.declined and await side.source.holds(way.declined, session=moment.session):
            reason = "those that only Python can upgrade cannot be joined"
            raise await stale_side(side, way.declined, reason, moment)
        return way, met

    async def _first(
        self, own: Side, way: UpgradingStages, asked: _Asked, moment: Moment
    ) -> tuple[list[Mapping[str, Any]], Mapping[str, Any] | None]:
        """
        Return the stages that find the kind's own rows and bring them to latest; and which rows the client has to read.
        """
        narrowed = self._in_every_shape(own, way, leading_filter(asked.pipeline))
        found: list[Mapping[str, Any]] = [{"$match": narrowed}] if narrowed else []
        if way.declined is None:
            return [*found, *way.stages], None
        left = both_of(way.declined, narrowed)
        others = [*found, {"$match": {"$nor": [way.declined]}}, *way.stages]
        if way.in_client:
            await self._announce(own, way, left, asked, moment)
        declined = await declined_rows(own, left, moment)
        if declined is None and not asked.in_client:
            reason = f"they have to be upgraded in Python, more than {bounds()} of them"
            raise await stale_side(own, left, reason, moment, client_can=moment.reads is not Reads.TRANSACTION)
        if declined is not None and not declined:
            return [*found, *way.stages], None
        if moment.reads is Reads.TRANSACTION:
            if asked.in_client and not parted(asked.pipeline).rest:
                return others, left
            reason = "a transaction cannot take rows that only Python can upgrade"
            raise await stale_side(own, way.declined, reason, moment)
        if declined is None:
            if not way.in_client:
                await self._announce(own, way, left, asked, moment)
            return others, left
        documents = list(upgraded_rows(declined, own.kind, asked.report))
        given = {"$unionWith": {"coll": own.source.name, "pipeline": documents_pipeline(documents, {})}}
        return [*others, *([given] if documents else [])], None

    async def _announce(
        self, own: Side, way: UpgradingStages, left: Mapping[str, Any], asked: _Asked, moment: Moment
    ) -> None:
        """Say how many rows the client has to read, before it reads the first."""
        rows = await own.source.count(left, session=moment.session)
        if not rows:
            return
        _log.info("client_filter_begins", kind=own.kind.name, rows=rows, versions=list(way.versions))
        asked.course.way, asked.course.client_rows = Way.IN_CLIENT, rows

    async def _too_much(self, own: Side, prepared: _Prepared, left: Mapping[str, Any], two: Parted) -> StaleQueryError:
        stage = next(iter(two.rest[0]))
        reason = (
            f"what the stages before {stage} make of those that only Python can upgrade is more than "
            f"{HELD_BYTES >> 20} MB (a $match or a $project in front of it helps)"
        )
        return await stale_side(own, left, reason, Moment(prepared.session, Reads.SNAPSHOT))

    def _in_every_shape(self, own: Side, way: UpgradingStages, filter: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the pipeline's first filter says of the rows as they are stored, so that indexes serve it."""
        kind = own.kind
        earlier = {
            version: translate(filter, kind.chain.between(start(kind, version), kind.latest), simple=way.simple).filter
            for version in way.versions
            if version is not None or kind.detect is None
        }
        if len(earlier) < len(way.versions) or all(each == filter for each in earlier.values()):
            return own.narrowed
        elsewhere = both_of(filter, rows_elsewhere(kind, way.versions))
        return one_of([elsewhere, *(both_of(each, rows_at(kind, [version])) for version, each in earlier.items())])
