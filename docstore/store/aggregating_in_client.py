"""
Aggregations over rows that only Python can upgrade, however many: read, upgraded and sent along in parts.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from bson.raw_bson import RawBSONDocument

from docstore.core.bson_values import encode
from docstore.core.kind import Kind
from docstore.core.pipeline_paths import Pipeline
from docstore.core.residue import RESIDUE
from docstore.core.row_faults import brought
from docstore.core.row_wise import Parted
from docstore.core.stale_pipelines import documents_pipeline
from docstore.errors import DocumentError
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import Batches, RowSource, rows_of
from docstore.store.client_filter import cut, parts_of, too_large
from docstore.store.cursor import Report

#: How much may be held of what the first stages make of these rows, in bytes.
HELD_BYTES: Final = 4 * 1024 * 1024


class ClientParts:
    """
    Runs stages that look at one document at a time over rows that Python upgrades; the server knows every stage.

    One part of the rows is held at a time, and of what came of them no more than `HELD_BYTES`.
    """

    def __init__(
        self, source: RowSource, kind: Kind[Any], *, report: Report | None, session: AnySession | None
    ) -> None:
        self._source = source
        self._kind = kind
        self._report = report
        self._session = session

    async def results(self, filter: Mapping[str, Any], stages: Pipeline) -> Batches:
        """Yield what the stages make of the stored rows that match *filter*, in batches, in no particular order."""
        async with aclosing(parts_of(self._source, filter, session=self._session)) as parts:
            async for raws in parts:
                upgraded = (RawBSONDocument(encode(row)) for row in upgraded_rows(raws, self._kind, self._report))
                for documents in cut(upgraded, lambda document: len(document.raw)):
                    async with aclosing(self._made(documents, stages)) as made:
                        async for batch in made:
                            yield batch

    async def held(self, filter: Mapping[str, Any], parted: Parted, each: Pipeline) -> list[RawBSONDocument] | None:
        """
        Return what a pipeline's first stages make of these rows, as far as it matters to its others.

        Args:
            filter: Which stored rows.
            parted: The pipeline.
            each: Its first stages, as they are to be run.

        Returns:
            None if it is more than `HELD_BYTES`.
        """
        held: list[bytes] = []
        size = 0
        any_will_do = parted.at_most is not None and len(parted.first) == 1
        async with aclosing(self.results(filter, [*each, *parted.kept])) as results:
            async for batch in results:
                for raw in rows_of(batch):
                    held.append(raw)
                    size += len(raw)
                    if any_will_do and len(held) == parted.at_most:
                        return [RawBSONDocument(raw) for raw in held]
                    if size > HELD_BYTES and parted.first and len(raw) <= HELD_BYTES:
                        held = await self._chosen(held, parted.first)
                        size = sum(map(len, held))
                    if size > HELD_BYTES:
                        return None
        return [RawBSONDocument(raw) for raw in held]

    async def _chosen(self, held: Sequence[bytes], first: Pipeline) -> list[bytes]:
        async with aclosing(self._made([RawBSONDocument(raw) for raw in held], first)) as found:
            return [raw async for batch in found for raw in rows_of(batch)]

    async def _made(self, documents: Sequence[Mapping[str, Any]], stages: Pipeline) -> Batches:
        if not documents:
            return
        pipeline = [*documents_pipeline(documents, {}), *stages]
        async with aclosing(self._source.aggregate(pipeline, session=self._session)) as found:
            async for batch in found:
                yield batch


def sent_along(rows: Sequence[bytes], kind: Kind[Any], report: Report | None) -> list[dict[str, Any]] | None:
    """
    Return rows at the latest shape, to be sent along with a pipeline.

    None if they are too large for that; nothing is reported then.
    """
    faults: list[DocumentError] = []
    documents = list(upgraded_rows(rows, kind, None if report is None else faults.append))
    if too_large(documents):
        return None
    if report is not None:
        for fault in faults:
            report(fault)
    return documents


def upgraded_rows(rows: Sequence[bytes], kind: Kind[Any], report: Report | None) -> Iterator[dict[str, Any]]:
    """
    Yield rows at the latest shape, without a residue; what no step can upgrade is reported and left out, or raised.
    """
    for raw in rows:
        try:
            row = brought(raw, kind)
        except DocumentError as error:
            if report is None:
                raise
            report(error)
            continue
        row.pop(RESIDUE, None)
        yield row
