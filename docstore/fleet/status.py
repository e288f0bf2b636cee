"""
Who is there and what is stored, for people and programs.
"""

import datetime
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from docstore.core.control_view import ControlView
from docstore.core.fleet_facts import Fleet, NodeFacts
from docstore.core.kind import Kind
from docstore.core.rollout_gates import Situation
from docstore.core.rollout_state import RolloutState
from docstore.core.way_back import WayBack, before, release_blockers, way_back
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.row_ends import row_ends

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
    by: str
    at: datetime.datetime | None


class FleetStatus(BaseModel):
    """
    Everybody who works with a database, dead ones for an hour too.
    """

    model_config = _FROZEN

    nodes: tuple[NodeStatus, ...]
    readers: tuple[ReaderStatus, ...]


class RolloutStatus(BaseModel):
    """
    How the rollout of a kind stands.
    """

    model_config = _FROZEN

    kind: str
    state: RolloutState
    write_version: int
    canary_version: int | None
    canary_percent: float | None
    #: The version to which a rollback leads, or that is stored where there is none to roll back.
    version_before: int
    way_back: WayBack
    frozen: bool
    #: Live nodes that may still store what an earlier control record said.
    late: tuple[str, ...]
    #: Where rows stand at the ends; null where there are none.
    lowest_row: int | None
    highest_row: int | None
    #: What is in the way of releasing a binary that knows only `version_before`; nothing if it is safe.
    release_before_blocked_by: tuple[str, ...]


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
            by=reader.by,
            at=reader.at,
        )
        for reader in view.readers
    )
    return FleetStatus(nodes=tuple(_node(node, view) for node in nodes), readers=readers)


async def rollout_statuses(database: AnyDatabase, kinds: Iterable[Kind[Any]]) -> list[RolloutStatus]:
    """
    Return how the rollouts stand of those kinds that any node has worked with; reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: A record is that of another release of docstore.
    """
    view = await ControlRecords(database).view()
    fleet = Fleet(await NodeRecords(database).all(), view.readers)
    found = []
    for kind in kinds:
        control = view.controls.get(kind.name)
        if control is None:
            continue
        rows = await row_ends(database, collection=kind.collection, field=kind.version_field, baseline=kind.baseline)
        now = Situation(control, fleet, view.open_rollouts, frozen=view.freeze is not None)
        canary = control.canary
        found.append(
            RolloutStatus(
                kind=kind.name,
                state=control.state,
                write_version=control.write_version,
                canary_version=None if canary is None else canary.version,
                canary_percent=None if canary is None else canary.percent,
                version_before=before(control),
                way_back=way_back(control, rows),
                frozen=now.frozen,
                late=tuple(node.name for node in fleet.late(control)),
                lowest_row=rows.lowest,
                highest_row=rows.highest,
                release_before_blocked_by=tuple(blocker.words for blocker in release_blockers(now, rows)),
            )
        )
    return found


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
