"""
A program that has never heard of docstore: it increments a field of random rows until its standard input is closed.

Started by `docstore.demo.traffic` as a process of its own. It is told on one line what to do, says a few times a second
how many increments the server has acknowledged, and at its end how many for each row.
"""

import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from pymongo import MongoClient
from pymongo.collection import Collection

#: Between two reports, in seconds.
REPORT_INTERVAL: Final = 0.1

#: How long to look for the server, in milliseconds.
TIMEOUT: Final = 5000


class Writer(threading.Thread):
    """
    Increments random rows, one after the other, and counts what was acknowledged.
    """

    def __init__(self, rows: Collection[dict[str, Any]], field: str, ids: Sequence[int], *, seed: int) -> None:
        super().__init__()
        self._rows = rows
        self._field = field
        self._ids = ids
        self._chance = random.Random(seed)  # noqa: S311 - any rows will do
        self._stop_asked = threading.Event()
        self.by_row: Counter[int] = Counter()
        self.total = 0
        #: Whether it got to its end, so that every increment is known to have happened or not.
        self.complete = False

    def run(self) -> None:
        """
        Write until asked to stop.
        """
        while not self._stop_asked.is_set():
            row = self._chance.choice(self._ids)
            matched = self._rows.update_one({"_id": row}, {"$inc": {self._field: 1}}).modified_count
            self.by_row[row] += matched
            self.total += matched
        self.complete = True

    def ask_to_stop(self) -> None:
        """
        Have the writer end after the increment in flight.
        """
        self._stop_asked.set()


def main() -> int:
    """
    Write until told to stop, or until a writer has failed; return the exit code.
    """
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    with MongoClient[dict[str, Any]](order["uri"], serverSelectionTimeoutMS=TIMEOUT) as client:
        rows = client.get_default_database()[order["collection"]]
        writers = [Writer(rows, order["field"], order["ids"], seed=seed) for seed in range(order["writers"])]
        end = threading.Event()
        threading.Thread(target=_wait_for_the_end, args=(end,), daemon=True).start()
        for writer in writers:
            writer.start()
        while not end.wait(REPORT_INTERVAL) and all(writer.is_alive() for writer in writers):
            _say({"total": sum(writer.total for writer in writers)})
        for writer in writers:
            writer.ask_to_stop()
        for writer in writers:
            writer.join()
    acknowledged = sum((writer.by_row for writer in writers), Counter[int]())
    _say({"acknowledged": list(acknowledged.items())})
    return 0 if all(writer.complete for writer in writers) else 1


def _wait_for_the_end(end: threading.Event) -> None:
    sys.stdin.read()
    end.set()


def _say(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
