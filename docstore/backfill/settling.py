"""
Letting a run be paused or cancelled once nobody holds a batch of it any more.
"""

from docstore.core.run_record import RunRecord
from docstore.core.run_state import SETTLED, said_of
from docstore.mongo.batches import Batches
from docstore.mongo.runs import Runs


async def settled(runs: Runs, batches: Batches, run: RunRecord, *, by: str) -> RunRecord | None:
    """
    Return a run as it is then; whoever asked for the pause is quoted with it, as before.

    Any number of processes may do so at once: one of them moves the run on.
    """
    if run.state not in SETTLED or await batches.any_leased(run.id):
        return run
    why = said_of(run.state_reason)
    moved = await runs.move(run.id, run.state, SETTLED[run.state], by=by, why=why)
    return moved or await runs.get(run.id)
