"""
What is recorded of a node in `docstore_nodes`.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from docstore.core.abort_rule import CanaryFigures
from docstore.core.fleet_facts import NodeFacts, NodeKind, Policy
from docstore.core.record_format import NODE
from docstore.core.write_version import Stored


def kinds_record(kinds: Mapping[str, NodeKind]) -> list[Stored]:
    """
    Return what a node can do with its kinds, as its record keeps it.
    """
    return [
        {
            "kind": name,
            "floor": kind.floor,
            "latest": kind.latest,
            "readable": kind.readable,
            "writes": kind.writes,
            "fingerprints": dict(kind.fingerprints),
            "acknowledged": kind.acknowledged,
            "borrowed": dict(kind.borrowed),
            "canary": None if kind.canary is None else kind.canary.stored(),
        }
        for name, kind in sorted(kinds.items())
    ]


def node_record(node: NodeFacts) -> Stored:
    """
    Return a node as its record keeps it, without `_id` and the times, which are the server's.
    """
    return {
        "format": NODE.written,
        "service": node.service,
        "instance": node.instance,
        "host": node.host,
        "pid": node.pid,
        "docstore": node.docstore,
        "policy": node.policy.value,
        "kinds": kinds_record(node.kinds),
        "admitted": node.admitted,
        "dead_after": node.dead_after,
        "waits_for": list(node.waits_for),
    }


def node_of(stored: Mapping[str, Any], *, now: datetime.datetime) -> NodeFacts:
    """
    Return what a record says at a time of the server's clock.

    Raises:
        RecordFormatError: It has a format that this release does not know.
    """
    NODE.check(f"node {stored['_id']}", stored)
    return NodeFacts(
        id=stored["_id"],
        service=stored["service"],
        instance=stored["instance"],
        host=stored["host"],
        pid=stored["pid"],
        docstore=stored["docstore"],
        policy=Policy(stored["policy"]),
        kinds=_kinds_of(stored["kinds"]),
        admitted=stored["admitted"],
        started=stored["started"],
        seen=stored["seen"],
        silent=(now - stored["seen"]).total_seconds(),
        dead_after=stored["dead_after"],
        waits_for=tuple(stored["waits_for"]),
    )


def _kinds_of(stored: Iterable[Mapping[str, Any]]) -> dict[str, NodeKind]:
    return {
        kind["kind"]: NodeKind(
            floor=kind["floor"],
            latest=kind["latest"],
            readable=kind["readable"],
            writes=kind["writes"],
            fingerprints=kind["fingerprints"],
            acknowledged=kind["acknowledged"],
            # The release before this one borrows nothing, and does not say so.
            borrowed=kind.get("borrowed", {}),
            canary=CanaryFigures.of(kind["canary"]),
        )
        for kind in stored
    }
