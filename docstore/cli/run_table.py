"""
How runs stand, as people read it.
"""

import datetime
import json
from collections.abc import Iterator, Sequence
from typing import Final

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from docstore.backfill.run_status import RunStatus, WorkerStatus
from docstore.backfill.selection_status import SelectionStatus
from docstore.cli.coverage_table import share
from docstore.cli.durations import span
from docstore.cli.options import Format
from docstore.cli.run_words import aim, left
from docstore.core.batch_size import TARGET_SECONDS
from docstore.core.run_state import CLAIMABLE, OPEN, RunState

_STYLES: Final = {
    RunState.RUNNING: "green",
    RunState.SUCCEEDED: "green",
    RunState.FAILED: "red",
    RunState.PAUSED: "yellow",
    RunState.PAUSING: "yellow",
}


def runs_table(statuses: Sequence[RunStatus], *, kind: str | None = None) -> RenderableType:
    """
    Return one block for each run; *kind* is the one that was asked about, if it was one.
    """
    if not statuses:
        return Text(f"no backfill{'' if kind is None else f' of {kind}'} was ever asked for")
    return Group(*map(_block, statuses))


def show_runs(statuses: Sequence[RunStatus], format: Format, *, kind: str | None = None) -> None:
    """
    Write how runs stand to stdout; *kind* is the one that was asked about, if it was one.
    """
    if format is Format.JSON:
        typer.echo(json.dumps([status.model_dump(mode="json") for status in statuses]))
    else:
        Console(highlight=False).print(runs_table(statuses, kind=kind))


def _block(status: RunStatus) -> RenderableType:
    some = "" if status.selection is None else f", {_selected(status.selection)}"
    heading = Text.assemble(
        (status.kind, "bold"),
        f" {aim(status.direction, status.target)}{some}: ",
        (str(status.state), _STYLES.get(status.state, "")),
        f" ({status.reason})" if status.reason else "",
    )
    facts = Table.grid(padding=(0, 2))
    for label, text, style in run_facts(status):
        facts.add_row(Text(label, "dim"), Text(text, style))
    return Group(heading, Padding(facts, (0, 0, 1, 2)))


def run_facts(status: RunStatus) -> Iterator[tuple[str, str, str]]:
    """
    Yield what is to be told of a run: a label, a text, and the colour of what needs a look.
    """
    if status.hold is not None:
        held = span((status.at - status.hold.since).total_seconds())
        yield "on hold", f"{status.hold.reason}: {status.hold.detail}", "yellow"
        yield "", f"since {_time(status.hold.since)}, for {held} by now", "yellow"
    if status.state in CLAIMABLE and not any(not worker.note for worker in status.workers):
        yield "no worker", "docstore worker takes it up", "yellow"
    if status.total:
        yield "rows", f"{status.done:,} of {status.total:,} ({share(min(status.done / status.total, 1.0))})", ""
    for label, number, style in (
        ("inside the server", status.server, ""),
        ("in Python", status.client, ""),
        ("conflicts", status.conflicts, ""),
        ("in quarantine", status.quarantined, "red"),
        ("newer, left alone", status.newer, "red"),
    ):
        if number:
            yield label, f"{number:,}", style
    if status.remaining and status.state not in OPEN:
        yield left(status.direction, status.target), f"{status.remaining:,}", "red"
    yield from _speed(status)
    batches = f"{status.batches_done:,} done"
    batches += f", {status.batches_failed:,} failed" if status.batches_failed else ""
    batches += f", {status.batches_open:,} open" if status.batches_open else ""
    yield "batches", f"{batches}, pass {status.number_of_pass}", ""
    if status.last_error is not None:
        yield "last error", status.last_error, "red"
    for worker in status.workers:
        yield "worker", _worker(worker), "yellow" if worker.note or worker.waits else ""
    if status.history:
        last = status.history[-1]
        why = f": {last.why}" if last.before is last.after else ""
        yield "last change", f"{last.after} at {_time(last.at)} by {last.by}{why}", ""


def _speed(status: RunStatus) -> Iterator[tuple[str, str, str]]:
    if status.rate is not None and status.state in OPEN:
        yield "speed", f"{status.rate:,.0f} rows/s", ""
    if status.eta_seconds is not None:
        yield "time left", f"about {span(status.eta_seconds)} of work", ""
    if status.running_seconds:
        yield "at work", span(status.running_seconds), ""
    untils = {change.option: f" until {_time(change.until)}" for change in status.changes}
    if status.rate_limit is not None or "rate" in untils:
        limit = "none" if status.rate_limit is None else f"{status.rate_limit:,.10g} rows/s"
        yield "limit", f"{limit}{untils.get('rate', '')}", ""
    if status.batch_seconds != TARGET_SECONDS or "batch_seconds" in untils:
        yield "batches of", f"{status.batch_seconds:g} s{untils.get('batch_seconds', '')}", ""
    if status.workers_max is not None:
        yield "workers", f"at most {status.workers_max}", ""


def _selected(selection: SelectionStatus) -> str:
    rows = "1 row" if selection.rows == 1 else f"{selection.rows:,} rows"
    how = "at random" if selection.random else "by id"
    missing = f" ({selection.missing:,} ids name no row)" if selection.missing else ""
    return f"only {rows} picked {how}{missing}"


def _worker(worker: WorkerStatus) -> str:
    speed = "" if worker.rate is None else f", {worker.rate:,.0f} rows/s"
    where = f"{worker.host}:{worker.pid}"
    if worker.note:
        return f"{where}: {worker.note}"
    return f"{where}, {worker.rows:,} rows{speed}" + (f"; it waits: {worker.waits}" if worker.waits else "")


def _time(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
