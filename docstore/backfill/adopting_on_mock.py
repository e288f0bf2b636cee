"""
Adopting on the mock: in this process alone, row by row, without a record of the run.
"""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.adopting import AdoptResult, adoption_target
from docstore.backfill.looking import counted
from docstore.backfill.progress import Meter
from docstore.backfill.putting_aside import PuttingAside
from docstore.backfill.tagging import Tagger
from docstore.backfill.upgrading import Upgraded
from docstore.core.direction import Direction
from docstore.core.id_range import BEGINNING
from docstore.core.kind import Kind
from docstore.core.run_scope import refuse_version
from docstore.core.run_state import RunState
from docstore.mongo.batch_writing import BatchWriter
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.old_rows import OldRows
from docstore.mongo.quarantine import Quarantine

_PAGE: Final = 500


async def adopt_on_mock(
    database: AnyDatabase, kind: Kind[Any], *, stop: asyncio.Event, now: Callable[[], datetime.datetime]
) -> AdoptResult:
    """
    Tag every row that has no tag, as `commands.adopt` does on a server.

    Raises:
        VersionRangeError: The kind's floor is above its baseline.
    """
    target, meter = adoption_target(kind), Meter()
    refuse_version(kind, target)
    quarantine = Quarantine(database, kind.name)
    where: dict[str, Any] = {"field": kind.version_field, "index": "", "collated": False}
    rows, writer = (
        OldRows(database, kind.collection, version=None, **where),
        BatchWriter(database, kind, index="", collated=False),
    )
    aside = PuttingAside(
        quarantine, target=target, direction=Direction.ADOPT, with_text=False, run=now(), now=now, meter=meter
    )
    after: Any = BEGINNING
    while not stop.is_set() and (page := await rows.read(after, size=_PAGE)).rows:
        prepared = Upgraded()
        Tagger(kind, target, writer).upgrade(page.rows, prepared)
        await aside.put(prepared.poison, version=None)
        meter.add(client=(await writer.write(prepared.rewrites)).rewritten)
        after = page.last
    await quarantine.settle(kind.collection, kind.version_field)
    result = AdoptResult(
        kind=kind.name,
        state=RunState.PAUSED if stop.is_set() else RunState.SUCCEEDED,
        reason="",
        tagged=meter.now.client,
        quarantined=meter.now.quarantined,
        remaining=(await counted(database, kind, now)).untagged,
    )
    events.rows_adopted(**result.model_dump(include={"kind", "tagged", "quarantined", "remaining"}))
    return result
