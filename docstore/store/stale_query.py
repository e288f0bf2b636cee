"""Running a query of the latest shape over rows of older shapes."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import bson
from bson.raw_bson import RawBSONDocument

from docstore.core.bson_values import CODEC, RawDocument
from docstore.core.kind import Kind
from docstore.core.query import QueryPaths, shown, untouched_part
from docstore.core.row_faults import upgraded
from docstore.core.stale_query import (
    AS_STORED_AGAIN,
    NO_ROW,
    ONLY_ID,
    STORED,
    Decision,
    StoredVersion,
    Way,
    branch_pipeline,
    decide,
    documents_pipeline,
    old_versions,
    order_and_limits,
    rows_at,
    rows_elsewhere,
    start,
    union_of,
)
from docstore.errors import DocumentError, StaleQueryError
from docstore.mongo.driver import AnySession
from docstore.mongo.moment import Moment, Reads, enter_moment
from docstore.mongo.reading import Batches, RowSource, SortKeys, rows_of
from docstore.mongo.stored_versions import stored_versions
from docstore.store.cursor import Report

#: How many rows of a query Python may upgrade and send along, and their size in bytes as they are stored. A command
#: holds 16 MB, and every such row is in it twice.
MAX_DECLINED_ROWS: Final = 1000
MAX_DECLINED_BYTES: Final = 4 * 1024 * 1024

#: How many decisions are kept.
MAX_DECISIONS: Final = 256

_Pipeline: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: of the latest shape, whatever is stored."""

    filter: Mapping[str, Any]
    paths: QueryPaths
    sort: SortKeys = ()
    skip: int = 0
    limit: int = 0

    def is_touched(self, kind: Kind[Any]) -> bool:
        """Tell whether a step changes anything that the query looks at."""
        return bool(self.paths.touched(kind.writes(kind.floor, kind.latest)))

    def untouched_part(self, kind: Kind[Any]) -> dict[str, Any]:
        """Return the part of the filter that says the same of every row before and after its upgrade."""
        return untouched_part(self.filter, kind.writes(kind.floor, kind.latest))


class StaleQueries:
    """
    Answers queries on paths that a step changes, as a fully rewritten collection would.

    Which old versions are stored is asked, and the query is run, at one moment (a snapshot), so that a row that is
    rewritten meanwhile is neither missed nor returned twice. Rows come out as they are stored.

    Every method raises `StaleQueryError` where old rows are stored that cannot be brought along (it carries paths,
    versions, the number of rows, and the reason), and the `DocumentError` of an old row that no step can upgrade, of
    which therefore nobody can tell whether it matches.
    """

    def __init__(self, source: RowSource, kind: Kind[Any]) -> None:
        self._source = source
        self._kind = kind
        self._old = old_versions(kind)
        self._collated: bool | None = None
        self._decisions: dict[tuple[QueryPaths, tuple[StoredVersion, ...]], Decision] = {}

    async def rows(self, query: Query, *, report: Report | None, session: AnySession | None) -> Batches:
        """
        Yield the matching rows, as they are stored, in batches.

        Args:
            query: What is asked.
            report: Takes the errors of old rows that no step can upgrade, which are then left out.
            session: The user's session, if there is one.
        """
        async with AsyncExitStack() as stack:
            found = await self._found(stack, query, session, report=report)
            async for batch in found:
                yield batch

    async def old_ids(self, query: Query, *, session: AnySession | None) -> AsyncGenerator[Any, None]:
        """Yield the ids of those matching rows that are stored below latest; the order is unspecified."""
        if not self._old:
            return
        async with AsyncExitStack() as stack:
            if query.is_touched(self._kind):
                found = await self._found(stack, query, session, only_old=True)
            else:
                found = await stack.enter_async_context(aclosing(self._as_stored(query, session, only_old=True)))
            async for batch in found:
                for row in bson.decode_all(batch, CODEC):
                    yield row["_id"]

    async def count(self, query: Query, *, session: AnySession | None) -> int:
        """Return how many rows match, exactly."""
        async with AsyncExitStack() as stack:
            moment, decision = await self._decided(stack, query, session)
            if decision.way is Way.AS_STORED:
                return await self._source.count(query.filter, session=moment.session)
            total = 0
            for pipeline in await self._pipelines(query, decision, moment):
                counted = self._source.aggregate([*pipeline, {"$count": "rows"}], session=moment.session)
                async for batch in counted:
                    total += bson.decode(batch)["rows"]
            return total

    async def _found(
        self,
        stack: AsyncExitStack,
        query: Query,
        session: AnySession | None,
        *,
        report: Report | None = None,
        only_old: bool = False,
    ) -> Batches:
        """Return the matching rows as they are stored, or with *only_old* the ids of those below latest."""
        moment, decision = await self._decided(stack, query, session)
        if decision.way is Way.AS_STORED:
            found = self._as_stored(query, moment.session, only_old=only_old)
        else:
            pipelines = await self._pipelines(query, decision, moment, report=report, only_old=only_old)
            last = ONLY_ID if only_old else AS_STORED_AGAIN
            found = self._run(query, pipelines, last, moment)
        return await stack.enter_async_context(aclosing(found))

    def _as_stored(self, query: Query, session: AnySession | None, *, only_old: bool) -> Batches:
        old = rows_at(self._kind, self._old)
        return self._source.find(
            {"$and": [old, query.filter]} if only_old else query.filter,
            projection={"_id": 1} if only_old else None,
            sort=query.sort,
            skip=query.skip,
            limit=query.limit,
            session=session,
        )

    async def _decided(
        self, stack: AsyncExitStack, query: Query, session: AnySession | None
    ) -> tuple[Moment, Decision]:
        """Open a moment, look which versions are stored, and decide; a refusal is raised."""
        narrowed = query.untouched_part(self._kind)
        # A narrower look is quicker where an id is given; elsewhere it would keep the index on the tag from answering.
        looked_among = narrowed if "_id" in narrowed else None

        async def look(session: AnySession | None) -> list[StoredVersion]:
            return await stored_versions(
                self._source, self._kind.version_field, self._old, narrowed=looked_among, session=session
            )

        moment, stored = await enter_moment(stack, self._source, session, look)
        decision = await self._decision(query.paths, stored)
        reason = decision.reason if decision.way is Way.REFUSED else None
        if decision.way is Way.UPGRADED and moment.reads is Reads.NOTHING:
            reason = "a standalone server cannot read them all at one moment (a replica set can)"
        if decision.way is Way.UPGRADED and moment.reads is Reads.TRANSACTION and query.sort:
            reason = "a transaction cannot sort rows of several shapes (outside of it, such a query can)"
        if reason is None:
            return moment, decision
        standing = {"$and": [rows_at(self._kind, decision.versions), narrowed]}
        rows = await self._source.count(standing, session=moment.session)
        if rows:
            raise self._stale(decision, rows, reason)
        # Only tags that equal a version and are none.
        return moment, Decision(Way.AS_STORED, "no old rows are stored", decision.touched)

    async def _pipelines(
        self,
        query: Query,
        decision: Decision,
        moment: Moment,
        *,
        report: Report | None = None,
        only_old: bool = False,
    ) -> list[_Pipeline]:
        """Return the pipelines whose results together are the answer, but for order and limits; one where possible."""
        elsewhere: Mapping[str, Any] = rows_elsewhere(self._kind, decision.versions)
        if only_old:
            others = [version for version in self._old if version not in decision.versions]
            elsewhere = rows_at(self._kind, others) if others else NO_ROW
        pipelines: list[_Pipeline] = [[{"$match": {"$and": [elsewhere, query.filter]}}]]
        pipelines += [branch_pipeline(branch, query.filter) for branch in decision.branches if branch.match]
        declined = await self._declined(query, decision, moment)
        candidates = [self._upgraded_document(raw, report) for raw in declined]
        if documents := [document for document in candidates if document is not None]:
            pipelines.append(documents_pipeline(documents, query.filter))
        if moment.reads is Reads.TRANSACTION:
            return pipelines
        return [union_of(pipelines, self._source.name)]

    async def _run(
        self, query: Query, pipelines: Sequence[_Pipeline], last: Mapping[str, Any], moment: Moment
    ) -> Batches:
        if len(pipelines) == 1:
            stages = order_and_limits(query.sort, query.skip, query.limit)
            async with aclosing(
                self._source.aggregate([*pipelines[0], *stages, last], session=moment.session)
            ) as found:
                async for batch in found:
                    yield batch
            return
        # A transaction has no `$unionWith`, but it is one moment for as many queries as there are.
        skip, left = query.skip, abs(query.limit)
        for pipeline in pipelines:
            async with aclosing(self._source.aggregate([*pipeline, last], session=moment.session)) as found:
                async for batch in found:
                    for row in rows_of(batch):
                        if skip:
                            skip -= 1
                            continue
                        yield row
                        left -= 1
                        if not left:
                            return

    async def _declined(self, query: Query, decision: Decision, moment: Moment) -> list[bytes]:
        """Return the rows that Python has to upgrade, without those of which the filter can be denied as they are."""
        filters = [branch.declined for branch in decision.branches if branch.declined is not None]
        if not filters:
            return []
        narrowed = {"$and": [{"$or": filters}, query.untouched_part(self._kind)]}
        rows: list[bytes] = []
        size = 0
        async with aclosing(self._source.find(narrowed, session=moment.session)) as found:
            async for batch in found:
                rows.extend(rows_of(batch))
                size += len(batch)
                if len(rows) > MAX_DECLINED_ROWS or size > MAX_DECLINED_BYTES:
                    number = await self._source.count(narrowed, session=moment.session)
                    bounds = f"{MAX_DECLINED_ROWS} rows or {MAX_DECLINED_BYTES >> 20} MB"
                    raise self._stale(
                        decision, number, f"they have to be upgraded in Python, more than {bounds} of them"
                    )
        return rows

    def _upgraded_document(self, raw: bytes, report: Report | None) -> RawDocument | None:
        try:
            document = upgraded(raw, self._kind)
        except DocumentError as error:
            if report is None:
                raise
            report(error)
            return None
        return {**document, STORED: RawBSONDocument(raw)}

    async def _decision(self, paths: QueryPaths, stored: Sequence[StoredVersion]) -> Decision:
        # To compile the way of every version takes a millisecond or so; a service asks few different questions.
        key = (paths, tuple(stored))
        if key not in self._decisions:
            if len(self._decisions) >= MAX_DECISIONS:
                self._decisions.clear()
            python_only = await self._has_collation(stored)
            self._decisions[key] = decide(self._kind, paths, stored, python_only=python_only)
        return self._decisions[key]

    async def _has_collation(self, stored: Sequence[StoredVersion]) -> bool:
        if not stored:
            return False
        if self._collated is None:
            self._collated = await self._source.has_collation()
        return self._collated

    def _stale(self, decision: Decision, rows: int, reason: str) -> StaleQueryError:
        return stale(self._kind, decision, rows, reason)


def stale(kind: Kind[Any], decision: Decision, rows: int, reason: str) -> StaleQueryError:
    """Return the refusal of a query; rows without a tag are named by the version at which they stand."""
    versions = sorted({start(kind, version) for version in decision.versions})
    paths = shown(decision.touched)
    return StaleQueryError(kind=kind.name, paths=paths, versions=versions, rows=rows, reason=reason)
