"""
What a process says of itself and of its kinds.
"""

import datetime
import os
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from docstore.core.fingerprint import OF_KIND, fingerprints, step_fingerprint
from docstore.core.fleet_facts import Lifetime, NodeFacts, NodeKind, Policy
from docstore.core.kind import Kind
from docstore.core.newer_steps import readable
from docstore.core.write_version import ControlState
from docstore.fleet.canary_counting import CanaryCounting
from docstore.fleet.in_flight import InFlight


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Who a node is.
    """

    id: str
    service: str
    #: Names the place that the process fills in its service; its successor has the same.
    instance: str
    host: str
    pid: int
    docstore: str

    @classmethod
    def of_this_process(cls, service: str, instance: str | None = None) -> "Identity":
        """
        Return a new identity; the host's name is the instance unless another is given.
        """
        host = socket.gethostname()
        return cls(uuid.uuid4().hex, service, instance or host, host, os.getpid(), version("docstore"))


def node_facts(
    who: Identity,
    kinds: Iterable[Kind[Any]],
    controls: Mapping[str, ControlState],
    *,
    policy: Policy,
    life: Lifetime,
    admitted: bool,
    waits_for: tuple[str, ...] = (),
    acknowledged: Callable[[ControlState], int],
) -> NodeFacts:
    """
    Return a node that works with these control states; its times are for the server to say.
    """
    unknown = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    return NodeFacts(
        id=who.id,
        service=who.service,
        instance=who.instance,
        host=who.host,
        pid=who.pid,
        docstore=who.docstore,
        policy=policy,
        kinds={kind.name: _acknowledging(kind, controls.get(kind.name), acknowledged) for kind in kinds},
        admitted=admitted,
        started=unknown,
        seen=unknown,
        silent=0.0,
        dead_after=life.dead_after,
        waits_for=waits_for,
    )


def _acknowledging(
    kind: Kind[Any], control: ControlState | None, acknowledged: Callable[[ControlState], int]
) -> NodeKind:
    facts = node_kind(kind, control)
    return facts if control is None else replace(facts, acknowledged=acknowledged(control))


def node_kind(kind: Kind[Any], control: ControlState | None) -> NodeKind:
    """
    Return what this code can do with the rows of a kind.
    """
    marks = fingerprints(kind, kind.latest)
    return NodeKind(
        floor=kind.floor,
        latest=kind.latest,
        readable=readable(kind),
        writes=None if control is None else _writes(kind, control),
        fingerprints={to: mark for to, mark in marks.items() if to != OF_KIND},
        acknowledged=None if control is None else control.epoch,
        borrowed={} if kind.newer is None else {str(step.to): step_fingerprint(step) for step in kind.newer.steps},
    )


def node_kind_at_work(
    kind: Kind[Any], control: ControlState | None, in_flight: InFlight, counting: CanaryCounting
) -> NodeKind:
    """
    Return the same of a node that is at work: what no write contradicts any more, and what it has counted.
    """
    facts = node_kind(kind, control)
    if control is None:
        return facts
    return replace(facts, acknowledged=in_flight.acknowledged(control), canary=counting.figures(control))


def _writes(kind: Kind[Any], control: ControlState) -> int | None:
    written = control.written
    if not (kind.floor <= written.low and written.high <= readable(kind)):
        return None
    if kind.chain.one_way(min(written.low, kind.latest), kind.latest):
        return None
    return written.high
