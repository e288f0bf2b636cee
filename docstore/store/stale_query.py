"""Running a query of the latest shape over rows of older shapes."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import bson
import structlog

from docstore.core.bson_values import CODEC, RawDocument
from docstore.core.kind import Kind
from docstore.core.stale_branch import StoredVersion, Way
from docstore.core.stale_pipelines import (
    AS_STORED_AGAIN,
    NO_ROW,
    ONLY_ID,
    both_of,
    branch_pipeline,
    documents_pipeline,
    one_of,
    order_and_limits,
    union_of,
)
from docstore.core.stale_query import Decision, rows_at, rows_elsewhere
from docstore.core.translation import NEVER
from docstore.mongo.driver import AnySession
from docstore.mongo.moment import Moment, Reads
from docstore.mongo.reading import Batches, RowSource, rows_of
from docstore.store.absent_versions import KnownAbsence, unwatched
from docstore.store.asked import Course, Query
from docstore.store.client_filter import SENT_BYTES, ClientFilter, stored_rows, window, with_stored
from docstore.store.cursor import Report
from docstore.store.deciding import Decided, Decisions
from docstore.store.sorted_in_transaction import SortedInTransaction

#: How many rows of a query Python may upgrade and send along, and their size in bytes as they are stored. A command
#: holds 16 MB, and every such row is in it twice.
MAX_DECLINED_ROWS: Final = 1000
MAX_DECLINED_BYTES: Final = 4 * 1024 * 1024

_Pipeline: TypeAlias = Sequence[Mapping[str, Any]]
#: Ask only the rows of these versions, for their ids; None: all rows, as they are stored.
_Only: TypeAlias = Sequence[StoredVersion] | None

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Left:
    """The rows that are left to the client: which, and how many."""

    filter: Mapping[str, Any]
    rows: int


class StaleQueries:
    """
    Answers queries on paths that a step changes, as a fully rewritten collection would.

    Which old versions are stored is asked, and the query is run, at one moment (a snapshot), so that a row that is
    rewritten meanwhile is neither missed nor returned twice. Rows come out as they are stored.

    Every method raises `StaleQueryError` where old rows are stored that cannot be brought along (it carries paths,
    versions, the number of rows, the reason and the ways out), and the `DocumentError` of an old row that no step can
    upgrade, where nobody can tell whether it matches.
    """

    def __init__(self, source: RowSource, kind: Kind[Any], absence: KnownAbsence = unwatched) -> None:
        self._source = source
        self._kind = kind
        self._sorted_in_transaction = SortedInTransaction(source, kind)
        self.decisions = Decisions(source, kind, absence)

    async def rows(
        self,
        query: Query,
        *,
        report: Report | None,
        session: AnySession | None,
        course: Course | None = None,
        judged: bool = False,
    ) -> Batches:
        """
        Yield the matching rows, as they are stored, in batches.

        Args:
            query: What is asked.
            report: Takes the errors of old rows that no step can upgrade, which are then left out.
            session: The user's session, if there is one.
            course: Takes how the query is answered.
            judged: First raise the error of a row that would be yielded by chance, because no step can upgrade it.
        """
        async with AsyncExitStack() as stack:
            found = await self._found(stack, query, session, report=report, course=course, judged=judged)
            async for batch in found:
                yield batch

    async def ids(
        self, query: Query, versions: Sequence[StoredVersion], *, session: AnySession | None
    ) -> AsyncGenerator[Any, None]:
        """Yield the ids of those matching rows that are stored at these versions; the order is unspecified."""
        if not versions:
            return
        async with AsyncExitStack() as stack:
            if query.is_touched(self._kind):
                found = await self._found(stack, query, session, only=versions)
            else:
                found = await stack.enter_async_context(aclosing(self._as_stored(query, session, only=versions)))
            async for batch in found:
                for row in bson.decode_all(batch, CODEC):
                    yield row["_id"]

    async def count(self, query: Query, *, session: AnySession | None) -> int:
        """Return how many rows match, exactly."""
        async with AsyncExitStack() as stack:
            decided = await self.decisions.required(stack, query, session)
            decision, moment = decided.decision, decided.moment
            client = ClientFilter(self._source, self._kind, query, session=moment.session)
            if decision.way is Way.AS_STORED:
                return await self._source.count(query.filter, session=moment.session)
            await self._judge(query, decided)
            if decision.way is Way.TRANSLATED:
                return await self._source.count(self.translated(query, decision), session=moment.session)
            pipelines, left = await self._pipelines(query, decided, client)
            total = 0
            for pipeline in self._joined(pipelines, moment):
                counted = self._source.aggregate([*pipeline, {"$count": "rows"}], session=moment.session)
                async for batch in counted:
                    total += bson.decode(batch)["rows"]
            if left is not None:
                self._announce(left, query, decision, None)
                async with aclosing(client.matching(left.filter, None)) as parts:
                    async for part in parts:
                        total += len(part)
            return total

    async def _found(
        self,
        stack: AsyncExitStack,
        query: Query,
        session: AnySession | None,
        *,
        report: Report | None = None,
        only: _Only = None,
        course: Course | None = None,
        judged: bool = False,
    ) -> Batches:
        """Return the matching rows as they are stored, or the ids of those of some versions."""
        decided = await self.decisions.required(stack, query, session)
        if only is not None:
            branches = tuple(branch for branch in decided.decision.branches if branch.version in only)
            decided = replace(decided, decision=replace(decided.decision, branches=branches))
        decision, moment = decided.decision, decided.moment
        if judged:
            await self._judge(query, decided)
        if course is not None:
            course.way = decision.way
        if decision.way is Way.AS_STORED:
            found = self._as_stored(query, moment.session, only=only)
        elif decision.way is Way.TRANSLATED:
            in_every_shape = self.translated(query, decision, only=only)
            found = self._find(query, in_every_shape, moment.session, only_id=only is not None)
        elif query.sort and only is None and moment.reads is Reads.TRANSACTION:
            found = self._sorted_in_transaction.rows(query, moment.session, report, course)
        else:
            found = self._upgraded(query, decided, report, course, only=only)
        return await stack.enter_async_context(aclosing(found))

    async def _judge(self, query: Query, decided: Decided) -> None:
        """Raise the error of a row that no step can upgrade, and that is asked as it is stored, so by chance."""
        translated = [branch for branch in decided.decision.branches if branch.way is Way.TRANSLATED]
        if declined := self.decisions.declined(query, translated):
            client = ClientFilter(self._source, self._kind, query, session=decided.moment.session)
            await client.try_upgrading(declined)

    def _as_stored(self, query: Query, session: AnySession | None, *, only: _Only) -> Batches:
        asked = query.filter if only is None else both_of(rows_at(self._kind, only), query.filter)
        return self._find(query, asked, session, only_id=only is not None)

    def _find(self, query: Query, filter: Mapping[str, Any], session: AnySession | None, *, only_id: bool) -> Batches:
        return self._source.find(
            filter,
            projection={"_id": 1} if only_id else None,
            sort=query.sort,
            skip=query.skip,
            limit=query.limit,
            session=session,
        )

    def translated(self, query: Query, decision: Decision, *, only: _Only = None) -> Mapping[str, Any]:
        """Return the filter for the rows that match as they are stored, each version in its shape."""
        elsewhere: Mapping[str, Any] = rows_elsewhere(self._kind, decision.versions)
        if only is not None:
            others = [version for version in only if version not in decision.versions]
            elsewhere = rows_at(self._kind, others) if others else NO_ROW
        filters = [both_of(query.filter, elsewhere)] if elsewhere is not NO_ROW else []
        ways = [branch for branch in decision.branches if branch.way is Way.TRANSLATED]
        translated = [branch for branch in ways if branch.narrowed != NEVER]
        filters += [both_of(branch.narrowed, rows_at(self._kind, [branch.version])) for branch in translated]
        return one_of(filters)

    async def _upgraded(
        self, query: Query, decided: Decided, report: Report | None, course: Course | None, *, only: _Only
    ) -> Batches:
        moment, last = decided.moment, AS_STORED_AGAIN if only is None else ONLY_ID
        client = ClientFilter(self._source, self._kind, query, session=moment.session)
        pipelines, left = await self._pipelines(query, decided, client, report=report, only=only)
        if left is not None:
            self._announce(left, query, decided.decision, course)
        if left is not None and query.sort:
            held = await client.first(left.filter, report, at_most=MAX_DECLINED_ROWS)
            if held is None:
                reason = f"more than {_bounds()} that match would have to be sorted in Python (a limit helps)"
                raise self.decisions.stale(decided.decision, left.rows, reason)
            if held:
                pipelines.append(documents_pipeline([with_stored(*one) for one in held], {}))
            left = None
        joined = self._joined(pipelines, moment)
        if left is None and len(joined) == 1:
            stages = order_and_limits(query.sort, query.skip, query.limit)
            async with aclosing(self._source.aggregate([*joined[0], *stages, last], session=moment.session)) as found:
                async for batch in found:
                    yield batch
            return
        parts = [self._source.aggregate([*pipeline, last], session=moment.session) for pipeline in joined]
        if left is not None:
            parts.append(stored_rows(client.matching(left.filter, report), only_id=only is not None))
        async with aclosing(window(parts, skip=query.skip, limit=query.limit)) as rows:
            async for row in rows:
                yield row

    async def _pipelines(
        self,
        query: Query,
        decided: Decided,
        client: ClientFilter,
        *,
        report: Report | None = None,
        only: _Only = None,
    ) -> tuple[list[_Pipeline], _Left | None]:
        """
        Return the pipelines whose results together are the answer, but for order and limits; and which rows are left.

        Rows are left only where the caller allows that the client reads them.
        """
        decision = decided.decision
        pipelines = self.on_server(query, decision, only=only)
        declined = self.left_to_python(decision)
        if declined is None:
            return pipelines, None
        in_client = decision.way is Way.IN_CLIENT
        sent = None if in_client else await self._sent_along(declined, decided, query, client, report)
        if sent is None:
            number = await self._source.count(declined, session=decided.moment.session)
            return pipelines, _Left(declined, number)
        if sent:
            pipelines.append(documents_pipeline([with_stored(*one) for one in sent], query.filter))
        return pipelines, None

    def on_server(self, query: Query, decision: Decision, *, only: _Only = None) -> list[_Pipeline]:
        """Return the pipelines that find what the server finds without Python's help."""
        branches = [branch for branch in decision.branches if branch.way is not Way.TRANSLATED and branch.match]
        as_stored: _Pipeline = [{"$match": self.translated(query, decision, only=only)}]
        return [as_stored, *(branch_pipeline(branch, query.filter) for branch in branches)]

    def left_to_python(self, decision: Decision) -> Mapping[str, Any] | None:
        """Return the filter for the rows that Python has to upgrade, if there may be any."""
        declined = [
            both_of(branch.declined, branch.narrowed) for branch in decision.branches if branch.declined is not None
        ]
        return one_of(declined) if declined else None

    def _joined(self, pipelines: list[_Pipeline], moment: Moment) -> list[_Pipeline]:
        # A transaction has no `$unionWith`, but it is one moment for as many queries as there are.
        return pipelines if moment.reads is Reads.TRANSACTION else [union_of(pipelines, self._source.name)]

    async def _sent_along(
        self, filter: Mapping[str, Any], decided: Decided, query: Query, client: ClientFilter, report: Report | None
    ) -> list[tuple[RawDocument, bytes]] | None:
        """Return the rows that the server did not take; None where they are much and the client may read them."""
        session = decided.moment.session
        rows: list[bytes] = []
        size = 0
        async with aclosing(self._source.find(filter, session=session)) as found:
            async for batch in found:
                rows.extend(rows_of(batch))
                size += len(batch)
                if len(rows) <= MAX_DECLINED_ROWS and size <= MAX_DECLINED_BYTES:
                    continue
                if query.in_client:
                    return None
                number = await self._source.count(filter, session=session)
                reason = f"they have to be upgraded in Python, more than {_bounds()} of them"
                raise self.decisions.stale(decided.decision, number, reason, client_can=True)
        sent = client.sent_along(rows, report)
        if sent is None and not query.in_client:
            reason = f"they have to be upgraded in Python, and what they become is more than {SENT_BYTES >> 20} MB"
            raise self.decisions.stale(decided.decision, len(rows), reason, client_can=True)
        return sent

    def _announce(self, left: _Left, query: Query, decision: Decision, course: Course | None) -> None:
        if not query.announced:
            _log.info("client_filter_begins", kind=self._kind.name, rows=left.rows, versions=list(decision.versions))
        if course is not None:
            course.way, course.client_rows = Way.IN_CLIENT, left.rows


def _bounds() -> str:
    return f"{MAX_DECLINED_ROWS} rows or {MAX_DECLINED_BYTES >> 20} MB"
