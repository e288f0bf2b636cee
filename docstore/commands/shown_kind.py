"""
What a kind is made of, and how a query of it is answered.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.core.kind import Kind
from docstore.core.query import shown
from docstore.core.step import Step
from docstore.errors import NotCompilableError
from docstore.mongo.driver import AnyDatabase
from docstore.store.explaining import Explanation
from docstore.store.query import Queries
from docstore.store.rows import RowReader
from docstore.store.store import Store


class ShownStep(BaseModel):
    """
    One step.

    *writes* are the paths that it may change; None where a function does not say. *has_way_back* tells whether rows can
    be brought back from its version, *runs_on_server* whether the server can take it.
    """

    model_config = ConfigDict(frozen=True)

    version: int
    summary: str
    operations: tuple[str, ...]
    writes: tuple[str, ...] | None
    has_way_back: bool
    runs_on_server: bool


class ShownKind(BaseModel):
    """A kind, its steps from floor to latest, and how a query of it is answered, if one was given."""

    model_config = ConfigDict(frozen=True)

    kind: str
    collection: str
    version_field: str
    baseline: int
    floor: int
    latest: int
    versions: tuple[int, ...]
    steps: tuple[ShownStep, ...]
    query: Explanation | None = None


async def show(
    kind: Kind[Any],
    *,
    database: AnyDatabase | None = None,
    query: Mapping[str, Any] | None = None,
    sort: Sequence[tuple[str, Any]] = (),
    pipeline: Sequence[Mapping[str, Any]] | None = None,
    kinds: Iterable[Kind[Any]] = (),
    allow_client_filter: bool = False,
) -> ShownKind:
    """
    Return what a kind is made of; with a database and a query or a pipeline, also how that would be answered now.

    Args:
        kind: The kind.
        database: Where its rows are. Without it nothing is asked of any server.
        query: A filter at the latest shape.
        sort: Keys and directions.
        pipeline: Stages of an aggregation, in place of a query.
        kinds: The other kinds whose rows a pipeline may join.
        allow_client_filter: Whether Python may read and upgrade rows for the query.

    Raises:
        QueryRefusedError: The query names the tag, or a field by a name that only the model has; or the pipeline begins
            so, or writes to the collection of a kind.
        ValueError: The pipeline holds what is no stage.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    explained = None
    if database is not None and query is not None:
        queries = Queries(database, kind, RowReader(kind))
        explained = await queries.explain(query, sort=sort, allow_client_filter=allow_client_filter)
    elif database is not None and pipeline is not None:
        joined = [other for other in kinds if other.name != kind.name]
        rows = Store(database, kinds=[kind, *joined], service="docstore show").collection(kind)
        explained = await rows.explain_pipeline(pipeline, allow_client_filter=allow_client_filter)
    return ShownKind(
        kind=kind.name,
        collection=kind.collection,
        version_field=kind.version_field,
        baseline=kind.baseline,
        floor=kind.floor,
        latest=kind.latest,
        versions=tuple(range(kind.floor, kind.latest + 1)),
        steps=tuple(map(_shown_step, kind.steps)),
        query=explained,
    )


def _shown_step(step: Step) -> ShownStep:
    return ShownStep(
        version=step.to or 0,
        summary=step.summary,
        operations=tuple(map(repr, step.operations)),
        writes=None if step.writes is None else tuple(sorted(shown(step.writes))),
        has_way_back=step.has_way_back,
        runs_on_server=_runs_on_server(step),
    )


def _runs_on_server(step: Step) -> bool:
    try:
        return bool(step.programs)
    except NotCompilableError:
        return False
