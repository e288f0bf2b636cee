"""
What has to come before a pipeline's stages so that it sees the latest shape: looked up at one moment.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import structlog

from docstore.core.chance import without_chance
from docstore.core.joined_kinds import Upgraded, with_upgraded_joins
from docstore.core.kind import Kind
from docstore.core.newer_steps import changing, way_to_latest
from docstore.core.pipeline_paths import Join, Pipeline, joins_of, leading_filter, needed_paths
from docstore.core.placed_rows import PlacedRows, without_rows
from docstore.core.query import query_path, untouched_part
from docstore.core.residue import RESIDUE
from docstore.core.row_faults import id_of
from docstore.core.row_wise import Parted, parted
from docstore.core.stale_branch import Way, start
from docstore.core.stale_pipelines import both_of, documents_pipeline, one_of
from docstore.core.stale_query import other_versions, rows_at, rows_elsewhere
from docstore.core.stale_residue import HAS_RESIDUE
from docstore.core.translation import translate
from docstore.core.upgrading_stages import UpgradingStages
from docstore.mongo.driver import AnySession
from docstore.mongo.moment import Moment, Reads, enter_moment
from docstore.mongo.past_rows import key_of
from docstore.mongo.reading import RowSource
from docstore.store.aggregated_rows import Side
from docstore.store.aggregating_in_client import sent_along
from docstore.store.asked import Course
from docstore.store.client_filter import SENT_BYTES
from docstore.store.cursor import Report
from docstore.store.joining_in_client import JoinedRows
from docstore.store.upgrading_sides import (
    MAX_DECLINED_ROWS,
    bounds,
    declined_rows,
    meets,
    stale_side,
    tags_of,
    way_of,
)

#: What is read: other rows by a join, or (None) the kind's own.
_Key: TypeAlias = Join | None

_OWN: Final = None

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    What is sent: stages that find the rows and bring them to latest, then the pipeline's own in the two parts of *two*.

    *left* finds the rows that the client reads part by part, where there are any. *way* is how the kind's own old rows
    come to latest; None where there are none that matter. *reads* is what holds the reads together.
    """

    first: Sequence[Mapping[str, Any]]
    two: Parted
    session: AnySession | None
    left: Mapping[str, Any] | None = None
    way: UpgradingStages | None = None
    reads: Reads = Reads.NOTHING

    @property
    def sent(self) -> list[Mapping[str, Any]]:
        """All stages, where the client reads no part of the rows."""
        return [*self.first, *self.two.each, *self.two.rest]


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A pipeline, whether the client may read any number of rows for it, and who takes errors and the course.

    With *looks_only* it is not to be run: rows are counted, and none is read.
    """

    pipeline: Pipeline
    in_client: bool = False
    report: Report | None = None
    course: Course = field(default_factory=Course)
    looks_only: bool = False


class Preparation:
    """
    Prepares pipelines over the rows of one kind.

    Args:
        kind: The kind.
        kinds: The kinds of the store, by their collections.
        sources: Their rows, by the same.
    """

    def __init__(self, kind: Kind[Any], kinds: Mapping[str, Kind[Any]], sources: Mapping[str, RowSource]) -> None:
        self._kind = kind
        self._kinds = kinds
        self._sources = sources

    def sides(self, pipeline: Pipeline) -> tuple[Side, dict[_Key, Side]]:
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
            followed=join.followed,
            by_position=join.by_position,
        )

    async def prepared(
        self, stack: AsyncExitStack, asked: Asked, sides: Mapping[_Key, Side], *, session: AnySession | None
    ) -> Prepared:
        """Return the pipeline with what has to come before its stages, and the moment to run it at."""
        pipeline = asked.pipeline

        async def look(session: AnySession | None) -> dict[_Key, list[Any]]:
            return {key: await tags_of(side, session) for key, side in sides.items()}

        moment, tags = await enter_moment(stack, self._sources[self._kind.collection], session, look)
        ways: dict[_Key, UpgradingStages] = {}
        # docstore's own field is shown to nobody.
        hidden: dict[_Key, list[Mapping[str, Any]]] = {}
        first: list[Mapping[str, Any]] = []
        for key, side in sides.items():
            residues = await side.residues.holds_rows(moment.session)
            hidden[key] = [{"$unset": [RESIDUE]}] if residues and side.whole else []
            way, met = await self._way(side, tags[key], asked, moment, is_own=key is _OWN, residues=residues)
            if met:
                first.append({"$match": side.readable()})
            if way is not None:
                ways[key] = way
        if ways:
            asked.course.way = Way.UPGRADED
        placed = await self._placed(asked, sides, ways, moment)

        def upgrade(join: Join) -> Upgraded | None:
            way = ways.get(join)
            stages = [*([] if way is None else way.stages), *hidden.get(join, [])]
            return Upgraded(stages, placed.get(join)) if stages or join in placed else None

        def touches(join: Join, path: str) -> bool:
            return sides[join].changes(query_path(path))

        two = parted(pipeline)
        each, rest = (with_upgraded_joins(part, upgrade, touches) for part in (two.each, two.rest))
        two = replace(two, each=each, rest=rest)
        if _OWN not in ways:
            return Prepared([*first, *hidden.get(_OWN, [])], two, moment.session, reads=moment.reads)
        found, left = await self._first(sides[_OWN], ways[_OWN], asked, moment)
        return Prepared([*first, *found, *hidden[_OWN]], two, moment.session, left, ways[_OWN], moment.reads)

    async def _way(
        self, side: Side, tags: Sequence[Any], asked: Asked, moment: Moment, *, is_own: bool, residues: bool
    ) -> tuple[UpgradingStages | None, bool]:
        """Return how a side's old rows come to latest; and whether there are rows that have to be left out."""
        report = asked.report if is_own else None
        unreadable = None if asked.looks_only else side.unreadable(tags)
        met = unreadable is not None and await meets(both_of(unreadable, side.narrowed), side, report, moment)
        way = await way_of(side, tags, moment, in_client=asked.in_client, residues=residues)
        if way is None:
            return None, met
        if not met and not asked.looks_only:
            narrowed = self._in_every_shape(side, way, leading_filter(asked.pipeline)) if is_own else {}
            met = await meets(both_of(side.look_alikes(way.versions), narrowed), side, report, moment)
        return way, met

    async def _placed(
        self, asked: Asked, sides: Mapping[_Key, Side], ways: Mapping[_Key, UpgradingStages], moment: Moment
    ) -> dict[_Key, PlacedRows]:
        """Return the joined rows that Python has to upgrade, after it is known of all how many they are."""
        joined = {join: way for join, way in ways.items() if join is not _OWN and way.declined is not None}
        if not joined:
            return {}
        by_id = not await self._sources[self._kind.collection].has_collation()
        reading = JoinedRows(moment, by_id=by_id)
        rows = {join: await reading.count(sides[join], way, in_client=asked.in_client) for join, way in joined.items()}
        for join, number in rows.items():
            if number and (joined[join].in_client or number > MAX_DECLINED_ROWS):
                _announce(sides[join], joined[join], number, asked)
        if asked.looks_only:
            return {}
        often = Counter(joins_of(asked.pipeline))
        return {
            join: await reading.placed(sides[join], way.declined or {}, times=often[join])
            for join, way in joined.items()
            if rows[join] and join is not None
        }

    async def _first(
        self, own: Side, way: UpgradingStages, asked: Asked, moment: Moment
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
        declined = await self._declined(own, way, left, asked, moment)
        if declined == []:
            return [*found, *way.stages], None
        documents = None if declined is None else sent_along(declined, own.kind, asked.report)
        if declined is None or documents is None:
            if declined is not None and not asked.in_client:
                reason = f"they have to be upgraded in Python, and what they become is more than {SENT_BYTES >> 20} MB"
                raise await stale_side(own, left, reason, moment, client_can=True)
            if declined is not None and not way.in_client:
                _announce(own, way, len(declined), asked)
            return others, left
        if moment.reads is Reads.TRANSACTION:
            # It has no `$unionWith`.
            brought = {key_of(row["_id"]) for row in documents}
            gone = without_rows([row_id for raw in declined if key_of(row_id := id_of(raw)) not in brought])
            placed = PlacedRows(own.kind.version_field, own.kind.latest, documents)
            return [*found, *gone, *way.stages, placed.stage()], None
        given = {"$unionWith": {"coll": own.source.name, "pipeline": documents_pipeline(documents, {})}}
        return [*others, *([given] if documents else [])], None

    async def _declined(
        self, own: Side, way: UpgradingStages, left: Mapping[str, Any], asked: Asked, moment: Moment
    ) -> list[bytes] | None:
        """Return the rows that Python has to upgrade; None where the client reads them part by part."""
        rows = 0
        if way.in_client or asked.looks_only:
            rows = await own.source.count(left, session=moment.session)
        if rows and (way.in_client or rows > MAX_DECLINED_ROWS):
            _announce(own, way, rows, asked)
        if asked.looks_only and (asked.in_client or rows <= MAX_DECLINED_ROWS):
            return None if rows else []
        declined = None if rows > MAX_DECLINED_ROWS else await declined_rows(own, left, moment)
        if declined is None and not asked.in_client:
            reason = f"they have to be upgraded in Python, more than {bounds()} of them"
            raise await stale_side(own, left, reason, moment, client_can=True)
        if declined is None and not way.in_client:
            _announce(own, way, await own.source.count(left, session=moment.session), asked)
        return declined

    def _in_every_shape(self, own: Side, way: UpgradingStages, filter: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the pipeline's first filter says of the rows as they are stored, so that indexes serve it."""
        kind = own.kind
        # The pipeline's own stages ask the whole filter again.
        steady = without_chance(filter)
        earlier = {
            version: translate(steady, way_to_latest(kind, start(kind, version)), simple=way.simple).filter
            for version in way.versions
            if version is not None or kind.detect is None
        }
        if len(earlier) < len(way.versions) or all(each == steady for each in earlier.values()):
            return own.narrowed
        elsewhere = both_of(steady, rows_elsewhere(kind, way.versions))
        # No filter says what rows keep beside the shape in which they are stored.
        kept = [both_of(own.narrowed, HAS_RESIDUE)] if way.residues else []
        old = (both_of(each, rows_at(kind, [version])) for version, each in earlier.items())
        return one_of([elsewhere, *old, *kept])


def _announce(side: Side, way: UpgradingStages, rows: int, asked: Asked) -> None:
    """Say how many rows the client has to read, before it reads the first."""
    if not asked.looks_only:
        _log.info("client_filter_begins", kind=side.kind.name, rows=rows, versions=list(way.versions))
    asked.course.way = Way.IN_CLIENT
    asked.course.client_rows += rows
