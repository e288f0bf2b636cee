"""
Adopting a collection: every row without a tag gets the tag of the version at which it stands.
"""

import asyncio
import datetime
from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from docstore.backfill import events
from docstore.backfill.patience import patiently
from docstore.backfill.progress import Meter
from docstore.backfill.putting_aside import PuttingAside
from docstore.backfill.throttling import Throttling
from docstore.core.bson_values import decode
from docstore.core.id_range import BEGINNING
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded
from docstore.errors import DocumentError, NewerVersionError
from docstore.mongo.batch_writing import BatchWriter, Rewrite
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.old_rows import OldRows
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.reading import RowSource
from docstore.mongo.tag_index import build_tag_index

#: Rows tagged by one update inside the server, and rows read at once where `detect` decides.
_RANGE: Final = 5_000
_PAGE: Final = 500
#: How often the untagged rows are gone through, while others keep changing them.
_PASSES: Final = 5


class AdoptResult(BaseModel):
    """
    What became of the rows without a tag.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    #: Rows that have a tag now.
    tagged: int
    #: Rows whose version `detect` could not tell; each has a record in quarantine.
    quarantined: int
    #: Rows without a tag that are left, the quarantined among them.
    remaining: int


class Adoption:
    """
    Tags rows with *baseline* inside the server, or with what `detect` says in Python and under the guard.

    Nothing but the tag is written, each row atomically (P1, P2). May be stopped, killed and repeated at any time, and
    be done by several processes at once. Rows that `detect` puts above latest are left alone (P4).

    Args:
        database: Where the rows are.
        kind: Whose rows.
        throttling: Says when a batch may begin.
        stop: Once it is set, the batch in flight is finished and the call ends.
        now: The clock.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[Any],
        *,
        throttling: Throttling,
        stop: asyncio.Event,
        now: Callable[[], datetime.datetime],
    ) -> None:
        self._database = database
        self._kind = kind
        self._throttling = throttling
        self._stop = stop
        self._now = now
        self._started = now()
        self._meter = Meter()
        self._tagged = 0

    async def adopt(self) -> AdoptResult:
        """
        Tag the rows.

        Raises:
            VersionRangeError: The kind's floor is above its baseline, so that nobody could read the rows.
            StoreUnavailableError: The database stayed away for a minute.
            StoreRejectedError: It refused what is needed.
        """
        kind, database = self._kind, self._database
        on_mock = driver_of(database) is Driver.MOCK
        chain = kind.compile(None, to=kind.baseline) if kind.detect is None and not on_mock else None
        index = await patiently(lambda: build_tag_index(database, kind.collection, kind.version_field))
        collated = not on_mock and await patiently(RowSource(database, kind.collection).has_collation)
        where: dict[str, Any] = {"field": kind.version_field, "index": index, "collated": collated}
        rows = OldRows(database, kind.collection, version=None, **where)
        if chain is not None:
            after: Any = BEGINNING
            while (upto := await self._end_of_range(rows, after)) is not BEGINNING:
                self._tagged += await patiently(lambda: rows.rewrite(after, upto, chain))  # noqa: B023 - awaited here
                after = upto
        else:
            writer = BatchWriter(database, kind.collection, **where)
            for _ in range(_PASSES):
                before = self._tagged
                await self._detect(rows, writer)
                if self._tagged == before or self._stop.is_set():
                    break
        return await self._result()

    async def _end_of_range(self, rows: OldRows, after: Any) -> Any:
        await self._throttling.before_batch(self._stop.is_set)
        if self._stop.is_set():
            return BEGINNING
        return await patiently(lambda: rows.end_of_range(after, _RANGE))

    async def _detect(self, rows: OldRows, writer: BatchWriter) -> None:
        """
        Go through the untagged rows once, page by page.
        """
        self._meter.begin_pass()
        after: Any = BEGINNING
        while not self._stop.is_set():
            await self._throttling.before_batch(self._stop.is_set)
            at = after
            page = await patiently(lambda: rows.read(at, size=_PAGE))  # noqa: B023 - awaited here
            if not page.rows:
                return
            batch = await self._prepared(page.rows, writer)
            written = await patiently(lambda: writer.write(batch))  # noqa: B023 - awaited here
            self._tagged += written.rewritten
            after = page.last

    async def _prepared(self, rows: Sequence[bytes], writer: BatchWriter) -> list[Rewrite]:
        kind = self._kind
        batch: list[Rewrite] = []
        errors: list[DocumentError] = []
        for raw in rows:
            try:
                row = decoded(raw, kind)
                version = kind.version(row)
            except NewerVersionError:
                continue
            except DocumentError as error:
                errors.append(error)
            else:
                after = decode(raw)
                after[kind.version_field] = version
                # The tag alone is compared and written; it is null, or not there.
                before = {name: row[name] for name in (kind.version_field,) if name in row}
                batch.append(writer.prepare(raw, after, [kind.version_field], before))
        aside = PuttingAside(
            Quarantine(self._database, kind.name),
            target=kind.latest,
            with_text=False,
            run=self._started,
            now=self._now,
            meter=self._meter,
        )
        await aside.put([(getattr(error, "id", None), error) for error in errors], version=None)
        return batch

    async def _result(self) -> AdoptResult:
        kind = self._kind
        await patiently(lambda: Quarantine(self._database, kind.name).settle(kind.collection, kind.version_field))
        source = RowSource(self._database, kind.collection)
        remaining = await patiently(lambda: source.count({kind.version_field: None}))
        result = AdoptResult(
            kind=kind.name, tagged=self._tagged, quarantined=self._meter.now.quarantined, remaining=remaining
        )
        events.rows_adopted(**result.model_dump())
        return result
