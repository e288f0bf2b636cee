"""
The records of nodes, in `docstore_nodes`. Who is alive is decided by the server's clock alone.
"""

from collections.abc import Mapping
from typing import Any

from docstore.core.fleet_facts import REMEMBERED, NodeFacts, NodeKind
from docstore.core.node_record import kinds_record, node_of, node_record
from docstore.core.record_format import NODE
from docstore.mongo.driver import AnyDatabase, settled
from docstore.mongo.failures import translated
from docstore.mongo.own_records import NODES, NOW, later, literal, open_records


class NodeRecords:
    """
    The nodes of a database. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.
    """

    def __init__(self, database: AnyDatabase) -> None:
        self._nodes = open_records(database, NODES)

    async def all(self) -> tuple[NodeFacts, ...]:
        """
        Return every node that was heard of within the hour, dead or alive; reads only.

        Raises:
            RecordFormatError: A record has a format that this release does not know.
        """
        stages: list[dict[str, Any]] = [
            {"$match": {"$expr": {"$gt": ["$seen", later(-REMEMBERED)]}}},
            {"$set": {"now": NOW}},
            {"$sort": {"service": 1, "instance": 1, "started": 1}},
        ]
        with translated():
            found = [record async for record in await settled(self._nodes.aggregate(stages))]
        return tuple(node_of(record, now=record["now"]) for record in found)

    async def put(self, node: NodeFacts) -> None:
        """
        Record a node as heard of now; what nobody needs to know any more is forgotten.
        """
        fields: dict[str, Any] = {name: literal(value) for name, value in node_record(node).items()}
        fields |= {"seen": NOW, "started": {"$ifNull": ["$started", NOW]}}
        with translated():
            await self._nodes.delete_many({**NODE.known, "$expr": {"$lt": ["$seen", later(-REMEMBERED)]}})
            await self._nodes.update_one({"_id": node.id}, [{"$set": fields}], upsert=True)

    async def beat(self, node: str, kinds: Mapping[str, NodeKind]) -> bool:
        """
        Say that a node is alive, and what it works with; tell whether it still counts as alive.

        A node that was silent for too long, even by a moment, has to be admitted anew: others may have acted on it.
        """
        alive = {"$gt": ["$seen", {"$subtract": [NOW, {"$multiply": ["$dead_after", 1000]}]}]}
        with translated():
            result = await self._nodes.update_one(
                {"_id": node, **NODE.known, "admitted": True, "$expr": alive},
                [{"$set": {"seen": NOW, "kinds": literal(kinds_record(kinds))}}],
            )
        return bool(result.matched_count)

    async def remove(self, node: str) -> None:
        """
        Forget a node that has closed.
        """
        with translated():
            await self._nodes.delete_one({"_id": node})
