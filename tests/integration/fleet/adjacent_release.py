"""
A process of another release: `python -m tests.integration.fleet.adjacent_release NAME URI WRITTEN READ ...`.

It is the release at hand, but for the number that it writes into docstore's own records, the numbers that it reads, and
a field that it adds to the records which others change too. What it is to do, it reads from standard input, a verb a
line; each is answered by a line of JSON.
"""

import asyncio
import json
import sys

import structlog

from docstore import Store, commands
from docstore.backfill import worker
from docstore.core import record_format
from docstore.core.record_format import RecordFormat
from docstore.core.run_record import new_run
from docstore.core.write_version import ControlState
from docstore.mongo import runs
from docstore.mongo.client import connected
from docstore.mongo.driver import AnyDatabase
from tests.kinds import Place, place_kind

KIND = place_kind(latest=3)
_LOOK = 0.02


def become(name: str, written: int, read: frozenset[int]) -> None:
    """
    Turn this process into that release.
    """
    formats = [each for each in vars(record_format).values() if isinstance(each, RecordFormat)]
    assert len(formats) == 8
    for each in formats:
        # In place: every module has its own name for it.
        object.__setattr__(each, "written", written)
        object.__setattr__(each, "read", read)
    # Nobody waits here for runs to be asked for.
    worker.POLL = 0.05  # type: ignore[misc]
    control = ControlState.stored
    added = {f"added_by_{name}": written}
    ControlState.stored = lambda self: {**control(self), **added}  # type: ignore[method-assign]
    vars(runs)["new_run"] = lambda **facts: {**new_run(**facts), **added}


class Release:
    """
    What the process can be asked to do, each verb by its name.
    """

    def __init__(self, name: str, database: AnyDatabase, store: Store) -> None:
        self._name = name
        self._database = database
        self._store = store
        self._places = store.collection(KIND)

    async def wait(self, version: str) -> int:
        """
        Wait until that is the version that this process stores; whoever started it has a limit.
        """
        control = self._store._member.control
        while control(KIND.name).write_version != int(version):  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(_LOOK)
        return int(version)

    async def insert(self, row_id: str) -> int:
        await self._places.insert(Place(id=int(row_id), name=self._name))
        return int(row_id)

    async def modify(self, row_id: str) -> int:
        changed = await self._places.modify(int(row_id), lambda place: place.model_copy(update={"visits": 7}))
        return changed.visits

    async def advance(self) -> str:
        return str((await commands.rollout_advance(self._database, KIND, by=self._name)).state)

    async def rollback(self) -> str:
        return str((await commands.rollout_rollback(self._database, KIND, by=self._name, settling=0.0)).state)

    async def order(self) -> str:
        return str((await commands.backfill_start(self._database, KIND, by=self._name)).state)

    async def work(self) -> str:
        await commands.work(self._database, [KIND], drain=True, throttled=False)
        return str((await commands.backfill_status(self._database, KIND.name))[0].state)

    async def nodes(self) -> list[str]:
        return sorted(node.service for node in (await commands.fleet(self._database)).nodes)


async def serve(name: str, uri: str) -> None:
    """
    Open a store, and do what is asked for until nobody asks any more.
    """
    async with connected(uri) as database, Store(database, [KIND], service=name, heartbeat=0.2, dead_after=60) as store:
        release = Release(name, database, store)
        say("open")
        while line := await asyncio.to_thread(sys.stdin.readline):
            verb, *arguments = line.split()
            say(await getattr(release, verb)(*arguments))


def say(answer: object) -> None:
    """
    Write an answer.
    """
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    become(sys.argv[1], int(sys.argv[3]), frozenset(map(int, sys.argv[4:])))
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
