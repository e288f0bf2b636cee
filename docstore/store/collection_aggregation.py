"""
The part of a collection that runs aggregation pipelines over the latest shape.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import bson

from docstore.core.bson_values import CODEC, RawDocument
from docstore.core.document import Document, misnomers
from docstore.core.kind import Kind
from docstore.core.pipeline_paths import joins_of, leading_filter, needed_paths, written_collections
from docstore.core.query import read_query
from docstore.core.residue import RESIDUE
from docstore.errors import QueryRefusedError
from docstore.mongo.driver import AnyDatabase, AnySession, Driver, driver_of
from docstore.store.aggregating import Aggregations
from docstore.store.aggregating_in_memory import AggregationsInMemory
from docstore.store.asked import Course
from docstore.store.collection_updates import CollectionUpdates
from docstore.store.cursor import Cursor, OnError, Report
from docstore.store.encoding import sendable
from docstore.store.explaining import Explanation
from docstore.store.gate import WriteGate
from docstore.store.observer import Observer
from docstore.store.pauses import Pause
from docstore.store.write_back import WriteBack

D = TypeVar("D", bound=Document)

#: docstore's own records; a pipeline must not write over them.
_OWN_RECORDS = "docstore_"


class CollectionAggregation(CollectionUpdates[D]):
    """What aggregates rows; see `Collection`."""

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[D],
        *,
        gate: WriteGate,
        pause: Pause,
        write_back: WriteBack | None = None,
        kinds: Sequence[Kind[Any]] = (),
        observer: Observer | None = None,
    ) -> None:
        super().__init__(database, kind, gate=gate, pause=pause, write_back=write_back, observer=observer)
        self._database_name: str = database.name
        self._kinds: dict[str, Kind[Any]] = {each.collection: each for each in (*kinds, kind)}
        self._aggregations: Aggregations | AggregationsInMemory = (
            AggregationsInMemory(database, kind, self._kinds)
            if driver_of(database) is Driver.MOCK
            else Aggregations(database, kind, self._kinds, gate.absence)
        )

    async def aggregate(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        *,
        on_error: OnError = "raise",
        allow_client_filter: bool = False,
        session: AnySession | None = None,
    ) -> Cursor[RawDocument]:
        """
        Return a cursor over what a pipeline makes of the rows at the latest shape: plain documents, no models.

        The answer is the one that a collection would give in which every row had been rewritten to latest, the tag
        included. So it is for the rows of other kinds of this store that the pipeline joins (`$lookup`, `$unionWith`,
        `$graphLookup`).
        Nothing is asked of the server before the first document is wanted.

        Args:
            pipeline: MongoDB's stages, on stored names at the latest shape. `$out` and `$merge` may write to
                collections that are no kind's.
            on_error: "raise" the error of a row that takes part and cannot be brought to latest, or "skip" it: it is
                left out, logged, and listed in the cursor's `skipped`. Rows that are joined always raise.
            allow_client_filter: Read and upgrade, in Python, old rows that only functions can upgrade, however many
                these are, instead of refusing the pipeline. How many is logged before the first is read, and stands in
                the cursor's `client_rows`. Memory stays bounded: more than 4 MB of what the stages make of them up to
                the first that looks at several documents (`$group`, `$sort`) is refused, and more than 4 MB of what is
                looked at of joined rows.
            session: The session to read in.

        Raises:
            QueryRefusedError: The pipeline begins with a filter on the tag or on a name that only the model has, names
                a field of docstore's own, or writes to the collection of a kind or of docstore itself.
            StaleQueryError: Old rows take part that cannot be brought along: functions write what is needed of them
                (and `allow_client_filter` was not given), a stage is possible on stored rows only (`$geoNear`,
                `$text`, a `$graphLookup` along fields that a step changes), too many rows need Python, the server is a
                standalone; when the first document is wanted.
            DocumentError: A row takes part that this code cannot read; when the first document is wanted.
        """
        stages = self._stages(pipeline)
        course = Course()
        return Cursor(
            lambda report: self._aggregations.batches(
                stages, report=report, session=session, in_client=allow_client_filter, course=course
            ),
            _documents,
            kind=self.kind.name,
            on_error=on_error,
            course=course,
        )

    async def explain_pipeline(
        self, pipeline: Sequence[Mapping[str, Any]], *, allow_client_filter: bool = False
    ) -> Explanation:
        """
        Tell how `aggregate` would answer with these arguments, and why; with the server's plan.

        Nothing is run, and nothing is read but counts. A pipeline that would be refused while old rows are stored is
        explained, with the ways out; it is not raised. What shows only when rows are read is not foreseen.

        Raises:
            QueryRefusedError: See `aggregate`.
        """
        return await self._aggregations.explain(self._stages(pipeline), in_client=allow_client_filter)

    def _stages(self, pipeline: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        stages = [sendable(stage, kind=self.kind.name, path=f"stage {place}") for place, stage in enumerate(pipeline)]
        for place, stage in enumerate(stages):
            if not isinstance(stage, Mapping) or len(stage) != 1 or not next(iter(stage)).startswith("$"):
                msg = f"stage {place} is no stage: a document with one field that begins with a dollar is needed"
                raise ValueError(msg)
        self._check(stages)
        return stages

    def _check(self, pipeline: Sequence[Mapping[str, Any]]) -> None:
        for database, collection in written_collections(pipeline):
            if database not in {None, self._database_name}:
                continue
            written = self._kinds.get(collection)
            if written is not None or collection.startswith(_OWN_RECORDS):
                whose = "docstore itself" if written is None else f"the kind {written.name!r}"
                raise QueryRefusedError(
                    kind=self.kind.name,
                    reason=f"it writes to {collection!r}, the collection of {whose}",
                    advice="write rows of a kind with insert, update or modify, which keep tag and shape together",
                )
        asked = read_query(leading_filter(pipeline))
        if asked.names(self.kind.version_field):
            raise QueryRefusedError(
                kind=self.kind.name,
                reason=f"it begins with a filter on the tag {self.kind.version_field!r}",
                advice="every row is seen at the latest shape; how many are stored at which version is coverage",
            )
        joined = (join.paths for join in joins_of(pipeline) if join.collection in self._kinds)
        if any(paths.names(RESIDUE) for paths in (needed_paths(pipeline), *joined)):
            raise QueryRefusedError(
                kind=self.kind.name,
                reason=f"it names {RESIDUE!r}, which is docstore's own",
                advice="what is kept there is found where the latest shape has it",
            )
        for name, stored in misnomers(self.kind.model).items():
            if asked.names(name):
                raise QueryRefusedError(
                    kind=self.kind.name,
                    reason=f"it begins with a filter on {name!r}, which rows hold as {stored!r}",
                    advice="pipelines name fields as they are stored",
                )


def _documents(batch: bytes, report: Report | None) -> Iterator[RawDocument]:
    del report
    return iter(bson.decode_all(batch, CODEC))
