"""
How runs stand, as people read it.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from docstore.backfill.run_status import RunStatus, WorkerStatus
from docstore.cli.durations import span
from docstore.core.run_state import CLAIMABLE, OPEN, RunState

_STYLES: Final = {
    RunState.RUNNING: "green",
    RunState.SUCCEEDED: "green",
    RunState.FAILED: "red",
    RunState.PAUSED: "yellow",
    RunState.PAUSING: "yellow",
}


def runs_table(statuses: Sequence[RunStatus]) -> RenderableType:
    """
    Return one block for each run.
    """
    if not statuses:
        return Text("no backfill was ever asked for")
    return Group(*map(_block, statuses))


def _block(status: RunStatus) -> RenderableType:
    heading = Text.assemble(
        (status.kind, "bold"),
        f" to version {status.target}: ",
        (str(status.state), _STYLES.get(status.state, "")),
        f" ({status.reason})" if status.reason else "",
    )
    facts = Table.grid(padding=(0, 2))
    for label, text, style in _facts(status):
        facts.add_row(Text(label, "dim"), Text(text, style))
    return Group(heading, Padding(facts, (0, 0, 1, 2)))


def _facts(status: RunStatus) -> Iterator[tuple[str, str, str]]:
    if status.hold is not None:
        held = (status.hold.until - status.hold.since).total_seconds()
        yield "on hold", f"{status.hold.detail} ({status.hold.reason}, for {span(held)})", "yellow"
    if status.state in CLAIMABLE and not any(not worker.note for worker in status.workers):
        yield "no worker", "docstore worker takes it up", "yellow"
    if status.total:
        share = min(status.done / status.total, 1.0)
        yield "rows", f"{status.done:,} of {status.total:,} ({share:.1%})", ""
    for label, number, style in (
        ("inside the server", status.server, ""),
        ("in Python", status.client, ""),
        ("read again", status.conflicts, ""),
        ("in quarantine", status.quarantined, "red"),
    ):
        if number:
            yield label, f"{number:,}", style
    if status.remaining and status.state not in OPEN:
        yield f"below {status.target}", f"{status.remaining:,}", "red"
    yield from _speed(status)
    batches = f"{status.batches_done:,} done"
    batches += f", {status.batches_failed:,} failed" if status.batches_failed else ""
    batches += f", {status.batches_open:,} open" if status.batches_open else ""
    yield "batches", f"{batches}, pass {status.number_of_pass}", ""
    if status.last_error is not None:
        yield "last error", status.last_error, "red"
    for worker in status.workers:
        yield "worker", _worker(worker), "yellow" if worker.note or worker.waits else ""


def _speed(status: RunStatus) -> Iterator[tuple[str, str, str]]:
    if status.rate is not None and status.state in OPEN:
        yield "speed", f"{status.rate:,.0f} rows/s", ""
    if status.eta_seconds is not None:
        yield "time left", f"about {span(status.eta_seconds)} of work", ""
    if status.running_seconds:
        yield "at work", span(status.running_seconds), ""
    if status.rate_limit is not None:
        yield "limit", f"{status.rate_limit:,.0f} rows/s", ""


def _worker(worker: WorkerStatus) -> str:
    speed = "" if worker.rate is None else f", {worker.rate:,.0f} rows/s"
    why = worker.note or (f"it waits: {worker.waits}" if worker.waits else "")
    return f"{worker.host}:{worker.pid}{speed}" + (f": {why}" if why else "")
