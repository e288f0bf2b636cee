"""
What the page says of the fleet.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from docstore.cli.durations import span
from docstore.fleet.status import FleetStatus, Life, NodeKindStatus, NodeStatus, ReaderStatus


@dataclass(frozen=True, slots=True)
class FleetRow:
    """
    What one node, or one declared reader, does with one kind.
    """

    service: str
    who: str
    #: "alive", "waiting", "dead" or "declared".
    life: str
    kind: str
    reads: str
    writes: str
    seen: str
    remark: str


def fleet_rows(status: FleetStatus) -> list[FleetRow]:
    """
    Return the lines of the fleet: dead nodes first, then those that wait, then those that live, then declared readers.
    """
    order = [Life.DEAD, Life.WAITING, Life.ALIVE]
    nodes = sorted(status.nodes, key=lambda node: (order.index(node.life), node.service, node.instance))
    return [*(row for node in nodes for row in _of_node(node)), *map(_of_reader, status.readers)]


def _of_node(node: NodeStatus) -> Iterator[FleetRow]:
    who, life, seen = f"{node.instance} ({node.pid})", str(node.life), f"{span(node.silent_seconds)} ago"
    if not node.kinds:
        yield FleetRow(node.service, who, life, "", "", "", seen, "; ".join(node.waits_for))
    for kind in node.kinds:
        writes = "nothing" if kind.writes is None else str(kind.writes)
        remark = _remark(node, kind)
        yield FleetRow(node.service, who, life, kind.kind, _range(kind.reads), writes, seen, remark)


def _of_reader(reader: ReaderStatus) -> FleetRow:
    remark = f"declared by {reader.by}"
    writes = "" if reader.writes is None else str(reader.writes)
    return FleetRow(reader.service, "", "declared", reader.kind, _range(reader.reads), writes, "", remark)


def _remark(node: NodeStatus, kind: NodeKindStatus) -> str:
    words = [f"waits: {reason}" for reason in node.waits_for]
    if node.policy != "enforce":
        words.append("only warns")
    if node.life is Life.ALIVE and not kind.acknowledged:
        words.append("has not acknowledged the last change")
    return "; ".join(words)


def _range(reads: tuple[int, int]) -> str:
    low, high = reads
    return str(low) if low == high else f"{low} to {high}"
