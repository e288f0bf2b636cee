"""
Worker processes, killed and started again.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

ROOT: Final = Path(__file__).parents[2]
#: For how long a batch is held, in seconds; short, so that dead workers are replaced often.
LEASE: Final = 1
#: At most so long after its time has come is a worker killed, in seconds.
JITTER: Final = 0.4
_LOOK: Final = 0.05

Database = AsyncDatabase[dict[str, Any]]


@dataclass
class Workers:
    """
    `docstore worker` in processes of their own, on one database.
    """

    database: Database
    uri: str
    #: Where the logs go.
    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _last: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _joined: set[int] = field(default_factory=set)

    async def until_joined(self, workers: int) -> None:
        """
        Return when so many of those that are to be killed take part in the run.
        """
        while len(self._joined) < workers:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(_LOOK)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """
        Start a worker.
        """
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DOCSTORE_URI": self.uri.replace("/?", f"/{self.database.name}?"),
            "DOCSTORE_UPGRADERS": "upgraders",
        }
        log = self.folder / f"worker-{len(self.started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "docstore.cli", "worker", "--lease", str(LEASE), *options],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.started.append(process)
        return process

    async def joined(self, process: subprocess.Popen[bytes]) -> bool:
        """
        Return when a worker takes part in the run; false if the run has ended before.
        """
        while True:
            assert process.poll() is None, f"a worker ended with {process.returncode}"
            with suppress(PyMongoError):
                run = await self.database["docstore_runs"].find_one({"open": True}, {"workers": 1})
                if run is None:
                    return False
                if any(entry["pid"] == process.pid for entry in run["workers"]):
                    return True
            await asyncio.sleep(_LOOK)

    async def be_killed(self, times: list[float], share_done: Callable[[], float], *, seed: int) -> int:
        """
        Kill a worker and start it again, each time that a share of the work is done; return how often it was killed.

        The first time and every other one it is killed while it holds a batch, the others whatever it does.

        The last one that is started is left in peace.
        """
        rng, kills = random.Random(seed), 0
        for time in times:
            process = self.start()
            if not await self.joined(process):
                await _end(process)
                break
            self._joined.add(process.pid)
            while share_done() < time and await self._goes_on():  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(_LOOK)
            if kills % 2 == 0:
                while await self._goes_on() and not await self._holds(process):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(_LOOK)
            else:
                await asyncio.sleep(rng.random() * JITTER)
            assert process.poll() is None, f"a worker ended with {process.returncode}"
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            kills += 1
        self._last.append(self.start("--drain"))
        return kills

    async def until_drained(self) -> None:
        """
        Return when the workers that were left in peace have ended by themselves, as they do after the run.
        """
        for process in self._last:
            assert await asyncio.to_thread(process.wait) == 0

    def complaints(self) -> list[str]:
        """
        Return the tracebacks in the logs.
        """
        logs = [(log, log.read_text(errors="replace")) for log in sorted(self.folder.glob("worker-*.log"))]
        return [f"{log.name}: {text[text.index('Traceback') :]}" for log, text in logs if "Traceback" in text]

    async def _holds(self, process: subprocess.Popen[bytes]) -> bool:
        try:
            run = await self.database["docstore_runs"].find_one({"open": True}, {"workers": 1})
            ids = [entry["id"] for entry in (run or {"workers": []})["workers"] if entry["pid"] == process.pid]
            held = {"open": True, "state": "leased", "task": "rows", "owner": {"$in": ids}}
            return await self.database["docstore_batches"].find_one(held, {"_id": 1}) is not None
        except PyMongoError:
            return False

    async def _goes_on(self) -> bool:
        try:
            return await self.database["docstore_runs"].find_one({"open": True}, {"_id": 1}) is not None
        except PyMongoError:
            # No primary at the moment.
            return True


async def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) == 0
