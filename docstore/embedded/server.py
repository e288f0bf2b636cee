"""
A private replica set: started, waited for, broken on purpose by tests, and removed.
"""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from pymongo.errors import AutoReconnect, PyMongoError

from docstore.embedded.binary import find_mongod
from docstore.embedded.member import POLL_INTERVAL, Launch, Member
from docstore.embedded.processes import Keeper
from docstore.errors import EmbeddedServerError

REPLICA_SET = "docstore"
HEARTBEAT = 200  # milliseconds; with the default of 2 s, three members would need several seconds to agree
STEP_DOWN = 5  # seconds during which the old primary does not stand for election


class EmbeddedServer:
    """
    A replica set of `members` mongods on free loopback ports, with its data in a temporary folder.

    An async context manager; `start` and `stop` do the same by hand, also from two different event loops. The
    data is meant to be thrown away: `stop`, and the end of this process in whatever way, kill the servers and
    remove the folder. No access control: whoever can reach the loopback address can read and write.

    Args:
        members: 1 is enough for transactions and change streams; 3 for elections.
        mongod: The binary; by default what `find_mongod` finds.
        cache_gb: WiredTiger's cache for each member, in GB (at least 0.25).
        oplog_mb: The oplog of each member, in MB.
        election_timeout_ms: How long secondaries wait for a silent primary, in milliseconds. Low values make
            elections quick, and a busy machine prone to needless ones.
        start_timeout: Seconds until `start` gives up.
    """

    def __init__(
        self,
        *,
        members: int = 1,
        mongod: Path | None = None,
        cache_gb: float = 0.25,
        oplog_mb: int = 256,
        election_timeout_ms: int = 1000,
        start_timeout: float = 90.0,
    ) -> None:
        self._size = members
        self._mongod = mongod
        self._cache_gb = cache_gb
        self._oplog_mb = oplog_mb
        self._election_timeout_ms = election_timeout_ms
        self._start_timeout = start_timeout
        self._keeper: Keeper | None = None
        self._launch: Launch | None = None
        self._members: tuple[Member, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        """
        The members, in the order of their numbers; empty before the start.
        """
        return self._members

    @property
    def uri(self) -> str:
        """
        The URI of the whole set.
        """
        return f"mongodb://{','.join(member.address for member in self._members)}/?replicaSet={REPLICA_SET}"

    @property
    def folder(self) -> Path:
        """
        The temporary folder: data and logs of every member.
        """
        return self._members[0].folder.parent

    async def start(self) -> Self:
        """
        Start every member, form the set, and return when it has a primary that all others follow.

        Raises:
            EmbeddedServerError: There is no mongod, it cannot run here (carries the missing shared libraries), or
                the set is not ready in time. If a server wrote a log, its last lines are in the notes. Nothing is
                left running.
        """
        launch = Launch(self._mongod or find_mongod(), REPLICA_SET, self._cache_gb, self._oplog_mb)
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="docstore-mongod-"))
        self._launch, self._keeper = launch, Keeper(folder)
        self._members = tuple(Member(folder / str(number)) for number in range(self._size))
        try:
            await self._bring_up(self._keeper, launch)
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        """
        Kill every member and remove the folder. Idempotent.
        """
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.stop()
        for member in self._members:
            member.pid = None

    async def detach(self) -> None:
        """
        Let the set outlive this process. `kill PID...` ends it, and when all have ended the folder goes too.
        """
        keeper, _ = self._running()
        self._keeper = None
        await keeper.detach()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def primary(self) -> int:
        """
        Return the number of the member that is primary; wait for one while there is none.

        The caller bounds the wait, for instance with `asyncio.timeout`.
        """
        while True:
            for number, member in enumerate(self._members):
                if member.pid is not None and (await member.hello()).get("isWritablePrimary"):
                    return number
            await asyncio.sleep(POLL_INTERVAL)

    async def kill_member(self, number: int) -> None:
        """
        End a member as a power failure would (SIGKILL); its files stay for `restart_member`. Idempotent.
        """
        keeper, _ = self._running()
        member = self._members[number]
        if member.pid is not None:
            await keeper.kill(member.pid)
            member.pid = None

    async def restart_member(self, number: int) -> None:
        """
        Start a killed member again, on its port and its files, and return when it follows a primary or is it.

        Raises:
            EmbeddedServerError: It ends at once. Says why, as far as that can be told.
        """
        keeper, launch = self._running()
        member = self._members[number]
        await member.spawn(keeper, launch, new_port=False)
        # The set knows it by its port, so no other will do.
        await member.until_listening(keeper, launch, port_attempts=1)
        await member.until_in_service()

    async def step_down(self) -> int:
        """
        Make the primary hand over, and return the number of the next one. Needs three members that run.
        """
        before = self._members[await self.primary()]
        # Some versions close every connection when they step down.
        with contextlib.suppress(AutoReconnect):
            async with before.connect() as client:
                await client.admin.command("replSetStepDown", STEP_DOWN, secondaryCatchUpPeriodSecs=STEP_DOWN)
        return await self.primary()

    def _running(self) -> tuple[Keeper, Launch]:
        if self._keeper is None or self._launch is None:
            raise EmbeddedServerError(reason="the private mongod is not running")
        return self._keeper, self._launch

    async def _bring_up(self, keeper: Keeper, launch: Launch) -> None:
        try:
            async with asyncio.timeout(self._start_timeout):
                for member in self._members:
                    await asyncio.to_thread(member.folder.mkdir)
                    await member.spawn(keeper, launch, new_port=True)
                for member in self._members:
                    await member.until_listening(keeper, launch)
                await self._initiate()
                await self.primary()
                for member in self._members:
                    await member.until_in_service()
        except (TimeoutError, PyMongoError) as error:
            failure = EmbeddedServerError(
                reason=f"the private replica set was not ready within {self._start_timeout:g} s"
            )
            for member in self._members:
                failure.add_note(await asyncio.to_thread(member.log_tail))
            raise failure from error

    async def _initiate(self) -> None:
        configuration = {
            "_id": REPLICA_SET,
            "members": [{"_id": number, "host": member.address} for number, member in enumerate(self._members)],
            "settings": {
                "electionTimeoutMillis": self._election_timeout_ms,
                "heartbeatIntervalMillis": HEARTBEAT,
            },
        }
        async with self._members[0].connect() as client:
            await client.admin.command("replSetInitiate", configuration)
