"""
Rollouts and what became of them, as people read it.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from docstore.cli.options import Format
from docstore.commands import RolloutEvent
from docstore.core.control_view import Knob
from docstore.core.extended_json import to_text
from docstore.core.rollout_state import OPEN, RolloutState
from docstore.core.way_back import WayBack
from docstore.fleet.rollout_status import CanaryStatus, RolloutRun, RolloutStatus, StuckRows

_STYLES: Final = {
    RolloutState.COMPLETE: "green",
    RolloutState.ROLLING_BACK: "red",
    **dict.fromkeys([RolloutState.CANARY, RolloutState.OPEN, RolloutState.BACKFILLING], "yellow"),
}


#: Percent.
_ALL: Final = 100.0
#: States in which a run moves rows for the rollout.
_MOVING: Final = frozenset({RolloutState.OPEN, RolloutState.BACKFILLING, RolloutState.ROLLING_BACK})


def show_rollouts(statuses: Sequence[RolloutStatus], format: Format) -> None:
    """
    Write how rollouts stand to stdout.
    """
    if format is Format.JSON:
        typer.echo(json.dumps([status.model_dump(mode="json") for status in statuses]))
    elif statuses:
        Console(highlight=False).print(Group(*map(_block, statuses)))
    else:
        typer.echo("no node has worked with any of these kinds")


def show_history(events: Sequence[RolloutEvent], format: Format) -> None:
    """
    Write what was changed to stdout.
    """
    if format is Format.JSON:
        typer.echo(json.dumps([event.model_dump(mode="json") for event in events]))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("at", "about", "state", "writes", "why", "by"):
        table.add_column(title)
    for event in events:
        writes = "" if event.write_version is None else str(event.write_version)
        why = f"{event.reason}: {event.why}" if event.why else event.reason
        table.add_row(f"{event.at:%Y-%m-%d %H:%M:%S}", event.about, event.after or "", writes, why, event.by)
    Console(highlight=False).print(table)


def show_knobs(knobs: Sequence[Knob], format: Format) -> None:
    """
    Write what knobs are turned to to stdout.
    """
    if format is Format.JSON:
        typer.echo(to_text([{"name": knob.name, "value": knob.value, "percent": knob.percent} for knob in knobs]))
        return
    for knob in knobs:
        share = "" if knob.percent == _ALL else f" for {knob.percent:g} % of the keys"
        typer.echo(f"{knob.name} = {to_text(knob.value)}{share}")
    if not knobs:
        typer.echo("nobody has turned a knob")


def _block(status: RolloutStatus) -> RenderableType:
    heading = Text.assemble((status.kind, "bold"), ": ", (str(status.state), _STYLES.get(status.state, "")))
    facts = Table.grid(padding=(0, 2))
    for label, text, style in rollout_facts(status):
        facts.add_row(Text(label, "dim"), Text(text, style))
    return Group(heading, Padding(facts, (0, 0, 1, 2)))


def rollout_facts(status: RolloutStatus) -> Iterator[tuple[str, str, str]]:
    """
    Yield what is to be told of a rollout: a label, a text, and the colour of what needs a look.
    """
    if status.frozen:
        yield "frozen", "nobody can advance anything", "red"
    yield from _stored(status)
    if status.way_back is not WayBack.NONE:
        yield "rolling back", f"to version {status.version_before}: {status.way_back}", ""
    if status.run is not None and status.state in _MOVING:
        yield "run", _run(status.run), ""
    for stuck in status.stuck:
        yield "in quarantine", _stuck(stuck), "yellow"
    for name in status.late:
        yield "late", f"{name} has not acknowledged the last change", "yellow"
    if status.state in OPEN or status.way_back is not WayBack.NONE:
        yield from _release_before(status)


def _stored(status: RolloutStatus) -> Iterator[tuple[str, str, str]]:
    stored = f"version {status.write_version}"
    if status.canary is not None:
        stored += f", and {status.canary.percent:g} % of the ids at version {status.canary.version}"
    yield "stored at", stored, ""
    if status.canary is not None:
        yield from _canary(status.canary)
    if status.lowest_row is not None:
        ends = sorted({status.lowest_row, status.highest_row or status.lowest_row})
        yield "rows stand at", " to ".join(f"version {version}" for version in ends), ""


def _release_before(status: RolloutStatus) -> Iterator[tuple[str, str, str]]:
    binary = f"a binary up to version {status.version_before}"
    if not status.release_before_blocked_by:
        yield "safe", f"{binary} may run", "green"
    for words in status.release_before_blocked_by:
        yield "not yet", f"{binary} may not run: {words}", "yellow"


def _canary(canary: CanaryStatus) -> Iterator[tuple[str, str, str]]:
    share = f" ({canary.failures / canary.operations:.2%})" if canary.operations else ""
    yield "counted", f"{canary.failures:,} of {canary.operations:,} operations failed{share}", ""
    if canary.abort_on is not None:
        yield "goes back by itself", canary.abort_on, ""


def _run(run: RolloutRun) -> str:
    left = "" if run.remaining is None else f", {run.remaining:,} rows left"
    return f"{run.run}, {run.direction} to version {run.target}: {run.state}{left}"


def _stuck(stuck: StuckRows) -> str:
    rows = "1 row" if stuck.rows == 1 else f"{stuck.rows:,} rows"
    where = "" if stuck.version is None else f" at version {stuck.version}"
    step = "" if stuck.step is None else f" in step {stuck.step}"
    at = "" if stuck.path is None else f" at {stuck.path}"
    return f"{rows}{where}: {stuck.error}{step}{at}"
