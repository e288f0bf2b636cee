"""
Looking, now and then, how a database stands: what no single process knows of itself, for those who watch.
"""

import asyncio
import datetime
from collections.abc import Callable, Iterable
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.failing import described
from docstore.core.control_view import ControlView
from docstore.core.coverage import coverage_of
from docstore.core.direction import Direction
from docstore.core.fleet_facts import Fleet
from docstore.core.kind import Kind
from docstore.core.rollout_state import OPEN
from docstore.core.run_record import RunRecord
from docstore.core.run_state import RunState
from docstore.core.survey import KindSurvey, Survey, nodes_by_life, rows_behind, span_of_latest
from docstore.core.write_version import ControlState
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.control_times import ControlTimes
from docstore.mongo.counting import count_rows
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.leaving import is_told_to_end
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.runs import Runs
from docstore.mongo.tag_filters import short_of

#: How often to look, in seconds.
INTERVAL: Final = 30.0


async def keep_surveying(
    database: AnyDatabase,
    kinds: Iterable[Kind[Any]],
    tell: Callable[[Survey], None],
    *,
    now: Callable[[], datetime.datetime],
    interval: float = INTERVAL,
) -> None:
    """
    Survey a database every *interval* seconds, until cancelled; what goes wrong is logged, and tried again next time.

    Args:
        database: Where the rows and the records are.
        kinds: The kinds to look at.
        tell: Takes each survey.
        now: The clock that surveys are dated with.
        interval: How long to wait between two looks, in seconds.
    """
    kinds = tuple(kinds)
    while not is_told_to_end():
        try:
            tell(await survey(database, kinds, now=now))
        except Exception as error:  # noqa: BLE001 - nobody waits for this task, and the next look may succeed
            events.survey_failed(reason=described(error))
        await asyncio.sleep(interval)


async def survey(database: AnyDatabase, kinds: Iterable[Kind[Any]], *, now: Callable[[], datetime.datetime]) -> Survey:
    """
    Return how a database stands; reads only. The parts are not of one moment.

    Costs a read of the control records and of the quarantine, and of the index keys of those rows that a finished run
    should not have left: none where all is well and the (tag, `_id`) index is there; without it every tag is read.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: A record is that of another release of docstore.
    """
    view = await ControlRecords(database).view()
    fleet = Fleet(await NodeRecords(database).all(), view.readers)
    times = ControlTimes(database)
    turned = {knob.name: await times.knob_turned(knob.name) for knob in view.knobs.values() if knob.percent > 0}
    return Survey(
        at=now(),
        kinds={kind.name: await _of_kind(database, kind, view, fleet, now) for kind in kinds},
        knobs={name: at for name, at in turned.items() if at is not None},
        nodes=nodes_by_life(fleet),
        frozen_since=None if view.freeze is None else view.freeze.at,
    )


async def _of_kind(
    database: AnyDatabase,
    kind: Kind[Any],
    view: ControlView,
    fleet: Fleet,
    now: Callable[[], datetime.datetime],
) -> KindSurvey:
    control = view.controls.get(kind.name)
    is_open = control is not None and control.state in OPEN
    aside = await Quarantine(database, kind.name).count(kind.collection, kind.version_field)
    return KindSurvey(
        quarantined=aside,
        behind=await _behind(database, kind, control, now),
        rollout_since=await ControlTimes(database).rollout_opened(kind.name) if is_open else None,
        write_version=None if control is None else control.write_version,
        span=span_of_latest(fleet, kind.name),
    )


async def _behind(
    database: AnyDatabase, kind: Kind[Any], control: ControlState | None, now: Callable[[], datetime.datetime]
) -> int | None:
    run = await Runs(database).last(kind.name)
    if run is None or run.state is not RunState.SUCCEEDED or run.selection is not None:
        return None
    target = _still_meant(run, control)
    counts = await count_rows(
        database,
        kind=kind.name,
        collection=kind.collection,
        field=kind.version_field,
        only=short_of(run.direction, target),
    )
    coverage = coverage_of(kind, counts.tags, quarantined=counts.quarantined, counted_at=now(), exact=counts.one_moment)
    return rows_behind(kind, coverage, target=target, direction=run.direction)


def _still_meant(run: RunRecord, control: ControlState | None) -> int:
    """
    Return the target of a run as far as nodes still store it: who rolled back since, or advanced, wants other rows.
    """
    if control is None or run.direction is Direction.ADOPT:
        return run.target
    written = control.written
    return min(run.target, written.low) if run.direction is Direction.UP else max(run.target, written.high)
