"""
The fleet as people read it.
"""

from collections.abc import Iterator
from typing import Final

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from docstore.cli.durations import span
from docstore.cli.options import Format
from docstore.fleet.status import FleetStatus, Life, NodeKindStatus, NodeStatus

_STYLES: Final = {Life.ALIVE: "green", Life.WAITING: "yellow", Life.DEAD: "red"}


def show_fleet(status: FleetStatus, format: Format) -> None:
    """
    Write who works with a database to stdout.
    """
    if format is Format.JSON:
        typer.echo(status.model_dump_json())
    else:
        Console(highlight=False).print(fleet_table(status))


def fleet_table(status: FleetStatus) -> RenderableType:
    """
    Return a line for each node and kind, and one for each declared reader.
    """
    if not status.nodes and not status.readers:
        return Text("nobody works with this database, as far as docstore knows")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("service", "instance", "", "kind", "reads", "writes", "seen", ""):
        # Folded and not cut off: `--ignore-node` takes an instance as it stands here.
        table.add_column(title, overflow="fold")
    for node in status.nodes:
        for line in _lines(node):
            table.add_row(*line)
    for reader in status.readers:
        reads = _range(reader.reads)
        writes = "" if reader.writes is None else str(reader.writes)
        table.add_row(reader.service, Text("declared", "dim"), "", reader.kind, reads, writes, "", f"by {reader.by}")
    remarks = [
        Text(f"{node.service}/{node.instance} waits: {words}") for node in status.nodes for words in node.waits_for
    ]
    return Group(table, *remarks)


def _lines(node: NodeStatus) -> Iterator[tuple[RenderableType, ...]]:
    first = (node.service, f"{node.instance} ({node.pid})", Text(node.life, _STYLES[node.life]))
    seen = f"{span(node.silent_seconds)} ago"
    if not node.kinds:
        yield (*first, "", "", "", seen, "")
    for position, kind in enumerate(node.kinds):
        lead: tuple[RenderableType, ...] = (*first,) if position == 0 else ("", "", "")
        yield (*lead, kind.kind, _range(kind.reads), _writes(kind), seen if position == 0 else "", _remark(node, kind))


def _writes(kind: NodeKindStatus) -> Text:
    return Text("nothing", "yellow") if kind.writes is None else Text(str(kind.writes))


def _remark(node: NodeStatus, kind: NodeKindStatus) -> str:
    words = [] if node.policy == "enforce" else ["only warns"]
    if node.life is Life.ALIVE and not kind.acknowledged:
        words.append("has not acknowledged the last change")
    return ", ".join(words)


def _range(reads: tuple[int, int]) -> str:
    low, high = reads
    return str(low) if low == high else f"{low}..{high}"
