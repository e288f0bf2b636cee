"""
The collections in which docstore keeps its own records.
"""

from typing import Any, Final

from pymongo.write_concern import WriteConcern

from docstore.core.bson_values import CODEC
from docstore.errors import StoreRejectedError
from docstore.mongo.driver import AnyCollection, AnyDatabase, Driver, driver_of, open_collection

RUNS: Final = "docstore_runs"
BATCHES: Final = "docstore_batches"
HISTORY: Final = "docstore_history"
SELECTIONS: Final = "docstore_selections"
CONTROL: Final = "docstore_control"
NODES: Final = "docstore_nodes"
STEPS: Final = "docstore_steps"
SCRATCH: Final = "docstore_scratch"
COVERAGE: Final = "docstore_coverage"

#: How long a record waits for a majority of the members, in milliseconds.
_MAJORITY_TIMEOUT: Final = 10_000

#: Expression: the server's time.
NOW: Final = "$$NOW"


def open_records(database: AnyDatabase, name: str, *, majority: bool = False) -> AnyCollection:
    """
    Return a collection of records: read from the primary, acknowledged by a majority, with dates in UTC.

    Args:
        database: Where they are.
        name: The collection.
        majority: Read nothing that an election could undo; what was acknowledged to this process is read all the same.

    Raises:
        StoreRejectedError: On mongomock-motor.
    """
    if driver_of(database) is Driver.MOCK:
        raise StoreRejectedError(
            reason="mongomock-motor keeps no records of nodes, rollouts and runs; a real server does"
        )
    records = open_collection(database, name, primary=True, majority=majority)
    return records.with_options(
        codec_options=CODEC.with_options(tz_aware=True),
        write_concern=WriteConcern("majority", wtimeout=_MAJORITY_TIMEOUT),
    )


def later(seconds: float) -> dict[str, Any]:
    """
    Return the expression for a time so many seconds from now, by the server's clock.
    """
    return {"$add": [NOW, round(seconds * 1000)]}


def literal(value: Any) -> dict[str, Any]:
    """
    Return the expression for a value that is data, whatever it looks like.
    """
    return {"$literal": value}
