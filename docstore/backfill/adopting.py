"""
Adopting a collection: what a run came to that gives rows without a tag the tag of the version at which they stand.
"""

import datetime
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.backfill import events
from docstore.backfill.looking import counted
from docstore.backfill.patience import patiently
from docstore.backfill.progress import BackfillResult
from docstore.core.kind import Kind
from docstore.core.run_record import RunRecord
from docstore.core.run_state import RunState
from docstore.mongo.batches import Batches
from docstore.mongo.driver import AnyDatabase


class AdoptResult(BaseModel):
    """
    What became of the rows without a tag.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    #: The state of the run, and why it is in it.
    state: RunState
    reason: str
    #: Rows that the run has tagged, whichever process did it.
    tagged: int
    #: Rows whose version `detect` could not tell; each has a record in quarantine.
    quarantined: int
    #: Rows without a tag that are left, the quarantined among them, and those that `detect` puts above latest.
    remaining: int


def adoption_target(kind: Kind[Any]) -> int:
    """
    Return the version up to which untagged rows are tagged: all stand at the baseline, unless `detect` tells.
    """
    return kind.baseline if kind.detect is None else kind.latest


async def adopted(
    database: AnyDatabase,
    kind: Kind[Any],
    run: RunRecord,
    result: BackfillResult,
    *,
    now: Callable[[], datetime.datetime],
) -> AdoptResult:
    """
    Return what a run that tags rows came to; reads only.
    """
    totals = await patiently(lambda: Batches(database, owner="", lease=0.0).totals(run.id))
    coverage = await counted(database, kind, now)
    outcome = AdoptResult(
        kind=kind.name,
        state=result.state,
        reason=result.reason,
        tagged=totals.tally.server + totals.tally.client,
        quarantined=result.quarantined,
        remaining=coverage.untagged,
    )
    events.rows_adopted(**outcome.model_dump(include={"kind", "tagged", "quarantined", "remaining"}))
    return outcome
