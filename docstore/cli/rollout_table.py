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
from docstore.core.rollout_state import OPEN, RolloutState
from docstore.core.way_back import WayBack
from docstore.fleet.status import RolloutStatus

_STYLES: Final = {
    RolloutState.COMPLETE: "green",
    RolloutState.ROLLING_BACK: "red",
    **dict.fromkeys([RolloutState.CANARY, RolloutState.OPEN, RolloutState.BACKFILLING], "yellow"),
}


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


def _block(status: RolloutStatus) -> RenderableType:
    heading = Text.assemble((status.kind, "bold"), ": ", (str(status.state), _STYLES.get(status.state, "")))
    facts = Table.grid(padding=(0, 2))
    for label, text, style in _facts(status):
        facts.add_row(Text(label, "dim"), Text(text, style))
    return Group(heading, Padding(facts, (0, 0, 1, 2)))


def _facts(status: RolloutStatus) -> Iterator[tuple[str, str, str]]:
    if status.frozen:
        yield "frozen", "nobody can advance anything", "red"
    stored = f"version {status.write_version}"
    if status.canary_version is not None:
        stored += f", and {status.canary_percent:g} % of the ids at version {status.canary_version}"
    yield "stored at", stored, ""
    if status.lowest_row is not None:
        ends = sorted({status.lowest_row, status.highest_row or status.lowest_row})
        yield "rows stand at", " to ".join(f"version {version}" for version in ends), ""
    if status.way_back is not WayBack.NONE:
        yield "rolling back", f"to version {status.version_before}: {status.way_back}", ""
    for name in status.late:
        yield "late", f"{name} has not acknowledged the last change", "yellow"
    if status.state in OPEN or status.way_back is not WayBack.NONE:
        binary = f"a binary up to version {status.version_before}"
        if not status.release_before_blocked_by:
            yield "safe", f"{binary} may run", "green"
        for words in status.release_before_blocked_by:
            yield "not yet", f"{binary} may not run: {words}", "yellow"
