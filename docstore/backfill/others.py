"""
What other processes do of a run, for the one that shows its progress.
"""

import asyncio
from contextlib import suppress
from typing import Final

from docstore.backfill.progress import Meter
from docstore.errors import StoreError
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.leaving import is_told_to_end
from docstore.mongo.run_totals import RunningTotals
from docstore.mongo.runs import Runs

#: How often to look, in seconds.
LOOK: Final = 1.0


async def tell_of_others(database: AnyDatabase, run_id: str, *, worker: str, meter: Meter) -> None:
    """
    Keep telling the meter what others have done of a run, until cancelled; reads only.

    Args:
        database: Where the records are.
        run_id: The run.
        worker: The worker whose own rows the meter counts itself.
        meter: Told about once a second. While the database is away it is told nothing.
    """
    runs, others = Runs(database), RunningTotals(database, run_id, but_of=worker)
    while not is_told_to_end():
        with suppress(StoreError):
            run = await runs.get(run_id)
            tally = (await others.look()).tally
            if run is not None and run.total:
                meter.others(tally.server + tally.client + tally.quarantined, total=run.total)
        await asyncio.sleep(LOOK)
