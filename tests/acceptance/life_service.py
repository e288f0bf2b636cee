"""
A service of any release, as a process: it opens its store and changes row after row until it is told to end.

    python life_service.py PACKAGE INSTANCE ROWS
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import structlog
from pymongo import AsyncMongoClient

from docstore import Store
from docstore.discovery import find_kinds
from docstore.errors import DocstoreError, NodeRefusedError, StoreUnavailableError

#: Between two changes, in seconds.
_PAUSE = 0.1
#: A busy machine does not make such a node seem dead.
_BEAT, _DEAD_AFTER = 0.5, 60.0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def visited(note: Any) -> Any:
    note.visits += 1
    return note


async def serve(package: str, instance: str, rows: int) -> dict[str, Any]:
    told = {"changed": 0, "doubtful": 0}
    kind = find_kinds(package)["note"]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with AsyncMongoClient[dict[str, Any]](os.environ["DOCSTORE_URI"]) as client:
        database = client[os.environ["DOCSTORE_DATABASE"]]
        options: dict[str, Any] = {"heartbeat": _BEAT, "dead_after": _DEAD_AFTER}
        try:
            async with Store(database, [kind], service="notes", instance=instance, **options) as store:
                say("open")
                notes, row = store.collection(kind), 0
                while not stop.is_set():
                    row = (row + 1) % rows
                    try:
                        await notes.modify(row, visited)
                        told["changed"] += 1
                    except StoreUnavailableError:
                        told["doubtful"] += 1
                    except DocstoreError:
                        # Nothing was written: it lost the race for the row, or had to wait for the fleet.
                        pass
                    await asyncio.sleep(_PAUSE)
        except NodeRefusedError as error:
            return {"refused": type(error).__name__, "advice": error.advice}
    return told


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    say(json.dumps(asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
