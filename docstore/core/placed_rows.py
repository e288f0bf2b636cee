"""
Rows that Python has brought to latest, put where a server finds the stored ones.

The stage takes one row after another, so it may stand where no stage of several collections may: in a transaction, and
in the pipeline of a join, whose own equality has chosen rows before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docstore.core.bson_values import RawDocument, encode


@dataclass(frozen=True, slots=True)
class PlacedRows:
    """
    The documents that take the place of the rows of the same id whose tag (in *field*) is not that of *latest*.

    Ids are told apart as the server does within one collection.
    """

    field: str
    latest: int
    documents: Sequence[RawDocument]

    @property
    def size(self) -> int:
        """How many bytes of documents there are."""
        return sum(len(encode(document)) for document in self.documents)

    @property
    def literal(self) -> dict[str, Any]:
        """The documents as an expression."""
        return {"$literal": list(self.documents)}

    def stage(self, documents: str | None = None) -> Mapping[str, Any]:
        """
        Return the stage that puts them there.

        Args:
            documents: The variable that holds them ("$$name"). A server that builds the stages anew for each document,
                as it does in joins, need not read them again then. Without it they are in the stage.
        """
        # A list of constants is made a table once; what is within a variable is gone through for each row.
        ids = {"$literal": [document["_id"] for document in self.documents]}
        found = {"$cond": [{"$eq": [f"${self.field}", self.latest]}, -1, {"$indexOfArray": [ids, "$_id"]}]}
        taken = {"$arrayElemAt": [self.literal if documents is None else documents, "$$dsPlace"]}
        return {
            "$replaceWith": {
                "$let": {
                    "vars": {"dsPlace": found},
                    "in": {"$cond": [{"$gte": ["$$dsPlace", 0]}, taken, "$$ROOT"]},
                }
            }
        }


def without_rows(ids: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Return the stages that leave out the rows of these ids: none where there are no ids."""
    return [{"$match": {"_id": {"$nin": list(ids)}}}] if ids else []
