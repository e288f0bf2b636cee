"""
Who is there, for people and programs.
"""

import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from docstore.core.control_view import ControlView
from docstore.core.fleet_facts import Fleet, NodeFacts
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords

_FROZEN: Final = ConfigDict(frozen=True)


class Life(StrEnum):
    """
    Whether a node counts.
    """

    ALIVE = "alive"
    #: It asks for admission.
    WAITING = "waiting"
    #: It was not heard of in time, and has not closed.
    DEAD = "dead"


class NodeKindStatus(BaseModel):
    """
    What a node does with a kind.
    """

    model_config = _FROZEN

    kind: str
    #: The lowest and the highest version that it reads.
    reads: tuple[int, int]
    latest: int
    floor: int
    #: Null while it cannot write the kind.
    writes: int | None
    fingerprints: dict[str, str]
    #: Whether it stores what the control record says; false while it may store what an earlier one said.
    acknowledged: bool


class NodeStatus(BaseModel):
    """
    One process.
    """

    model_config = _FROZEN

    id: str
    service: str
    instance: str
    host: str
    pid: int
    docstore: str
    policy: str
    life: Life
    started: datetime.datetime
    seen: datetime.datetime
    silent_seconds: float
    kinds: tuple[NodeKindStatus, ...]
    #: What keeps it from being admitted.
    waits_for: tuple[str, ...]


class ReaderStatus(BaseModel):
    """
    A reader that was declared by hand.
    """

    model_config = _FROZEN

    service: str
    kind: str
    reads: tuple[int, int]
    #: The lowest version that it stores itself; null where it only reads.
    writes: int | None = None
    by: str
    at: datetime.datetime | None


class FleetStatus(BaseModel):
    """
    Everybody who works with a database, dead ones for an hour too.
    """

    model_config = _FROZEN

    nodes: tuple[NodeStatus, ...]
    readers: tuple[ReaderStatus, ...]


async def fleet_status(database: AnyDatabase) -> FleetStatus:
    """
    Return who works with a database; reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: A record is that of another release of docstore.
    """
    view = await ControlRecords(database).view()
    nodes = await NodeRecords(database).all()
    readers = tuple(
        ReaderStatus(
            service=reader.service,
            kind=reader.kind,
            reads=(reader.reads.low, reader.reads.high),
            writes=reader.writes,
            by=reader.by,
            at=reader.at,
        )
        for reader in view.readers
    )
    return FleetStatus(nodes=tuple(_node(node, view) for node in nodes), readers=readers)


def _node(node: NodeFacts, view: ControlView) -> NodeStatus:
    late = {kind for kind, control in view.controls.items() if any(Fleet((node,)).late(control))}
    kinds = tuple(
        NodeKindStatus(
            kind=name,
            reads=(kind.reads.low, kind.reads.high),
            latest=kind.latest,
            floor=kind.floor,
            writes=kind.writes,
            fingerprints=dict(kind.fingerprints),
            acknowledged=name not in late,
        )
        for name, kind in sorted(node.kinds.items())
    )
    return NodeStatus(
        id=node.id,
        service=node.service,
        instance=node.instance,
        host=node.host,
        pid=node.pid,
        docstore=node.docstore,
        policy=node.policy.value,
        life=_life(node),
        started=node.started,
        seen=node.seen,
        silent_seconds=node.silent,
        kinds=kinds,
        waits_for=node.waits_for,
    )


def _life(node: NodeFacts) -> Life:
    if node.silent >= node.dead_after:
        return Life.DEAD
    return Life.ALIVE if node.admitted else Life.WAITING
