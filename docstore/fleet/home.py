"""
Noticing that a database was restored from a backup, or copied: its control records stand in another collection.
"""

from typing import Final

import structlog
from bson.binary import Binary

from docstore.core.control_view import FLEET
from docstore.core.run_state import SETTLED, paused_by_wish
from docstore.errors import IllegalTransitionError, RecordFormatError
from docstore.mongo.batches import Batches
from docstore.mongo.collection_identity import collection_uuid
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.own_records import CONTROL, literal
from docstore.mongo.runs import Runs

_log: Final = structlog.get_logger("docstore.fleet")

#: What the history says of a run that was paused for it.
FOUND: Final = "found in a restored backup"


async def is_restored(database: AnyDatabase) -> bool:
    """
    Tell whether the control records stand in another collection than the one that they were written in; reads only.

    Nobody has worked with the database since it was restored, then. False also where the UUIDs came back with the
    rows (a snapshot of files), and where this user must not see them.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return False
    noted = (await ControlRecords(database).view()).home
    return noted is not None and await collection_uuid(database, CONTROL) not in {None, noted}


async def settle_home(database: AnyDatabase, *, by: str) -> bool:
    """
    Pause every run of a restored backup and say so in the history, once; tell whether it was one.

    Where nobody has noted yet in which collection the control records are, that is noted. May be called by any number
    of processes at once: runs are paused before the collection is noted, so whoever comes after finds them so.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return False
    control = ControlRecords(database)
    view = await control.view()
    here = await collection_uuid(database, CONTROL)
    if here is None or view.home == here:
        return False
    if view.home is None:
        await control.note_home(here)
        return False
    # Before the collection is noted: whoever finds it noted finds no run that would go on.
    paused = await _pause_runs(database, by=by)
    while view.home != here:
        entry = {
            "about": FLEET,
            "kind": None,
            "before": None,
            "after": None,
            "reason": "the control records stand in another collection than before",
            "by": by,
            "why": f"a restored or copied database; runs paused: {', '.join(paused) or 'none'}",
        }
        if await control.change(view, entry=entry, fields={"home": literal(Binary.from_uuid(here))}):
            break
        view = await control.settled_view()
    _log.warning("restored backup", service=by, paused=paused)
    return True


async def _pause_runs(database: AnyDatabase, *, by: str) -> list[str]:
    """
    Have no run go on; return those that are paused then, by whomever.
    """
    runs, batches = Runs(database), Batches(database, owner="", lease=0.0)
    paused = []

    def leave(kind: str, error: RecordFormatError) -> None:
        # A run of another release, which looks after it by the same rules.
        _log.warning("run left", kind=kind, reason=str(error))

    for found in await runs.open(on_unknown=leave):
        run = found
        while True:
            try:
                after = paused_by_wish(run.state)
            except IllegalTransitionError:
                # It is being cancelled, or has ended meanwhile.
                break
            if after is not run.state:
                moved = await runs.move(run.id, run.state, after, by=by, why=FOUND)
                if moved is None:
                    current = await runs.get(run.id)
                    if current is None:
                        break
                    run = current
                    continue
                run = moved
            paused.append(run.id)
            if run.state in SETTLED and not await batches.any_leased(run.id):
                await runs.move(run.id, run.state, SETTLED[run.state], by=by, why=FOUND)
            break
    return paused
