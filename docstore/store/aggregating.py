"""
Aggregations that see the latest shape, whatever shape is stored, in this collection and in those of other kinds.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Any

from docstore.core.absence import UNWATCHED, Absence
from docstore.core.kind import Kind
from docstore.core.pipeline_paths import Pipeline
from docstore.core.row_wise import parted
from docstore.core.stale_branch import Way
from docstore.core.stale_pipelines import with_documents
from docstore.errors import StaleQueryError
from docstore.mongo.driver import AnyDatabase, AnySession
from docstore.mongo.moment import Moment, Reads
from docstore.mongo.reading import Batches, RowSource
from docstore.store.absent_versions import absence_for
from docstore.store.aggregated_rows import Side
from docstore.store.aggregating_in_client import HELD_BYTES, ClientParts
from docstore.store.asked import Course
from docstore.store.cursor import Report
from docstore.store.explaining import Explanation
from docstore.store.explaining_pipelines import explain_pipeline
from docstore.store.preparing_pipelines import Asked, Preparation, Prepared
from docstore.store.upgrading_sides import stale_side


def _unwatched(kind: str) -> Absence:
    del kind
    return UNWATCHED


class Aggregations:
    """
    Runs pipelines over the rows of one kind at the latest shape.

    Where rows below latest matter for it, stages that upgrade them stand before the first stage that could tell the
    difference. Which versions are stored is asked, and the pipeline is run, at one moment.

    Args:
        database: Where the rows are; on a real server.
        kind: The kind.
        kinds: The kinds of the store, by their collections.
        absence: Tells at which versions no row of a kind can stand, by the kind's name; makes no call.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[Any],
        kinds: Mapping[str, Kind[Any]],
        absence: Callable[[str], Absence] = _unwatched,
    ) -> None:
        self._absence = absence
        self._sources = {name: RowSource(database, name) for name in {*kinds, kind.collection}}
        self._preparation = Preparation(kind, kinds, self._sources)

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
        asked = Asked(pipeline, in_client, report, course or Course())
        own, sides = self._preparation.sides(pipeline)
        async with AsyncExitStack() as stack:
            prepared = Prepared([], parted(pipeline), session)
            asked.course.way = Way.AS_STORED
            if not all(self._is_at_latest(side, session) for side in sides.values()):
                prepared = await self._preparation.prepared(stack, asked, sides, session=session)
            if prepared.left is not None:
                async for batch in self._with_parts(own, asked, prepared, prepared.left):
                    yield batch
                return
            sent = own.source.aggregate(prepared.sent, session=prepared.session)
            found = await stack.enter_async_context(aclosing(sent))
            async for batch in found:
                yield batch

    def _is_at_latest(self, side: Side, session: AnySession | None) -> bool:
        """Tell whether it is known without a look that every row of a side stands at latest."""
        known = absence_for(partial(self._absence, side.kind.name), side.source, session)
        return known.is_of_all_but(side.kind.latest)

    async def explain(self, pipeline: Pipeline, *, in_client: bool = False) -> Explanation:
        """Tell how a pipeline would be answered now; rows are counted, and none is read."""
        return await explain_pipeline(self._preparation, Asked(pipeline, in_client, looks_only=True))

    async def _with_parts(self, own: Side, asked: Asked, prepared: Prepared, left: Mapping[str, Any]) -> Batches:
        """Yield the documents of a pipeline of which some rows are read by the client."""
        two = prepared.two
        parts = ClientParts(own.source, own.kind, report=asked.report, session=prepared.session)
        sent: list[Mapping[str, Any]] = [*prepared.first, *two.each]
        if two.rest:
            held = await parts.held(left, two, two.each)
            if held is None:
                raise await self._too_much(own, prepared, left)
            unions = prepared.reads is not Reads.TRANSACTION
            sent = [*with_documents([*sent, *two.kept], held, own.source.name, unions=unions), *two.rest]
        async with aclosing(own.source.aggregate(sent, session=prepared.session)) as found:
            async for batch in found:
                yield batch
        if not two.rest:
            async with aclosing(parts.results(left, two.each)) as results:
                async for batch in results:
                    yield batch

    async def _too_much(self, own: Side, prepared: Prepared, left: Mapping[str, Any]) -> StaleQueryError:
        stage = next(iter(prepared.two.rest[0]))
        reason = (
            f"what the stages before {stage} make of those that only Python can upgrade is more than "
            f"{HELD_BYTES >> 20} MB (a $match or a $project in front of it helps)"
        )
        return await stale_side(own, left, reason, Moment(prepared.session, Reads.SNAPSHOT))
