"""
One mongod of a private replica set: its command line, its start on a free port, and what it says of itself.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from docstore.embedded.binary import explain_failure
from docstore.embedded.processes import Keeper
from docstore.errors import EmbeddedServerError

HOST = "127.0.0.1"
POLL_INTERVAL = 0.02  # seconds
PORT_ATTEMPTS = 5
LOG_TAIL = 10  # lines
ADDRESS_IN_USE = 48  # mongod's exit code


@dataclass(frozen=True, slots=True)
class Launch:
    """
    What every member of a set is started with.
    """

    mongod: Path
    replica_set: str
    cache_gb: float
    oplog_mb: int


@dataclass(slots=True)
class Member:
    """
    One mongod: where its files are, where it listens, and its process id while it runs.
    """

    folder: Path
    port: int = 0
    pid: int | None = None

    @property
    def address(self) -> str:
        """
        `host:port`, as in a MongoDB URI.
        """
        return f"{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """
        The file that mongod logs to.
        """
        return self.folder / "mongod.log"

    async def spawn(self, keeper: Keeper, launch: Launch, *, new_port: bool) -> None:
        """
        Start the process, on another free port if so asked, and return before it listens.

        Raises:
            EmbeddedServerError: The operating system refuses to run the binary.
        """
        if new_port:
            self.port = free_port()
        self.pid = await keeper.start(self._command(launch), stderr=self._stderr)

    async def until_listening(self, keeper: Keeper, launch: Launch, *, port_attempts: int = PORT_ATTEMPTS) -> None:
        """
        Return when the process that `spawn` started answers; if its port was taken meanwhile, try others.

        Raises:
            EmbeddedServerError: The process ended. Says why, as far as that can be told.
        """
        for attempt in range(port_attempts):
            if attempt > 0:
                await self.spawn(keeper, launch, new_port=True)
            exit_code = await self._exit_code_or_answer(keeper)
            if exit_code is None:
                return
            if exit_code != ADDRESS_IN_USE:
                printed = await asyncio.to_thread(self._stderr.read_text, errors="replace")
                failure = explain_failure(launch.mongod, exit_code, printed)
                failure.add_note(await asyncio.to_thread(self.log_tail))
                raise failure
        raise EmbeddedServerError(reason=f"another process took port {self.port} before mongod could")

    async def until_in_service(self) -> dict[str, Any]:
        """
        Return the answer to `hello` once the member is a primary or follows one.
        """
        while True:
            state = await self.hello()
            if state.get("isWritablePrimary") or state.get("secondary"):
                return state
            await asyncio.sleep(POLL_INTERVAL)

    async def hello(self) -> dict[str, Any]:
        """
        Return the member's answer to `hello`; empty if it gives none.
        """
        async with self.connect() as client:
            try:
                return await client.admin.command("hello")
            except PyMongoError:
                return {}

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
        """
        A client of this member alone, whatever its state in the set.
        """
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            HOST, self.port, directConnection=True, serverSelectionTimeoutMS=2000
        )
        try:
            yield client
        finally:
            await client.close()

    def log_tail(self) -> str:
        """
        The last lines of the log, under a heading.
        """
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return f"{self.address} wrote no log"
        return "\n".join([f"the end of the log of {self.address}:", *lines[-LOG_TAIL:]])

    @property
    def _stderr(self) -> Path:
        return self.folder / "stderr.txt"

    def _command(self, launch: Launch) -> Sequence[str]:
        return [
            *(str(launch.mongod), "--replSet", launch.replica_set, "--bind_ip", HOST, "--port", str(self.port)),
            *("--dbpath", str(self.folder), "--logpath", str(self.log), "--logappend", "--quiet"),
            # A socket file in /tmp would stay behind.
            "--nounixsocket",
            *("--oplogSize", str(launch.oplog_mb), "--wiredTigerCacheSizeGB", str(launch.cache_gb)),
            # By default 300 MB of journal are reserved before the first write.
            *("--wiredTigerEngineConfigString", "log=(file_max=16MB,prealloc=false)"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]

    async def _exit_code_or_answer(self, keeper: Keeper) -> int | None:
        # Read once: a member is not spawned anew while it is waited for.
        pid = self.pid
        if pid is None:
            raise EmbeddedServerError(reason=f"the member at {self.address} was not started")
        while True:
            exit_code = await keeper.poll(pid)
            if exit_code is not None:
                self.pid = None
                return exit_code
            if await self._answers_as(pid):
                return None
            await asyncio.sleep(POLL_INTERVAL)

    async def _answers_as(self, pid: int) -> bool:
        # A bare connection first: the driver waits half a second after one that was refused.
        try:
            _, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        writer.close()
        # It may be a stranger that took the port a moment before.
        async with self.connect() as client:
            try:
                status = await client.admin.command("serverStatus")
            except PyMongoError:
                return False
        return bool(status["pid"] == pid)


def free_port() -> int:
    """
    Return a loopback port on which nobody listened a moment ago.
    """
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
