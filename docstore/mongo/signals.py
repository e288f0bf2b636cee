"""
What the server says about its load, for the backfill to hold back in time.

Each signal is asked now and then and answers with a verdict and a reason; it raises `StoreError` where it cannot be
had. All commands go to the primary, which takes the writes. Nothing here needs more than a millisecond of the server.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from docstore.core.throttle import Answer, Limits, Verdict
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.failures import translated
from docstore.mongo.others import Others
from docstore.mongo.probe import PROBE_READS, Probe


class Signal(Protocol):
    """
    Something about the database that can speak against going on at full speed.
    """

    @property
    def name(self) -> str:
        """
        What it is called in status and logs.
        """

    async def ask(self) -> Sequence[Answer]:
        """
        Return what it says now.

        Raises:
            StoreUnavailableError, StoreRejectedError: It cannot be had; missing privileges, for example.
        """

    async def close(self) -> None:
        """
        Remove what it keeps in the database.
        """


#: Seconds from the last write to the last one that a majority has. Its dates are whole seconds, so 1 is nothing yet;
#: from about 5 on the server's own flow control slows down everybody.
MAJORITY_LAG: Final = Limits(slow=2, stop=4)
#: Operations that wait for their turn.
QUEUE: Final = Limits(slow=8, stop=64)
#: The mean latency of the server's reads since the last question, in milliseconds.
READS: Final = Limits(slow=25, stop=250)
#: A tiny read, and a tiny majority write, in milliseconds.
PROBE_READ: Final = Limits(slow=25, stop=250)
PROBE_WRITE: Final = Limits(slow=50, stop=500)


def open_signals(database: AnyDatabase) -> tuple[Signal, ...]:
    """
    Return the signals of a database; no call is made. The mock has none.
    """
    if driver_of(database) is Driver.MOCK:
        return ()
    return (
        MajorityLag(database),
        ServerLoad(database),
        Others(database, of_a_round=PROBE_READS),
        Probe(database, read=PROBE_READ, write=PROBE_WRITE),
    )


class MajorityLag:
    """
    How far a majority of the members is behind the primary, from `hello`; needs no privilege.
    """

    name: Final = "majority_lag"

    def __init__(self, database: AnyDatabase, limits: Limits = MAJORITY_LAG) -> None:
        self._database = database
        self._limits = limits

    async def ask(self) -> Sequence[Answer]:
        """
        See `Signal`.
        """
        with translated():
            hello = await self._database.command("hello")
        last = hello.get("lastWrite")
        if hello.get("msg") == "isdbgrid":
            return [Answer(self.name, Verdict.UNKNOWN, "a router does not tell how far the majority is behind")]
        if last is None or "majorityWriteDate" not in last:
            return [Answer(self.name, Verdict.NORMAL, "no replica set: nothing can lag")]
        lag = (last["lastWriteDate"] - last["majorityWriteDate"]).total_seconds()
        return [self._limits.judge(self.name, lag, unit="s", what="the majority is behind the primary")]

    async def close(self) -> None:
        """
        See `Signal`.
        """


class ServerLoad:
    """
    Waiting operations, read latency and flow control, from `serverStatus`; needs the role `clusterMonitor`.

    The latency of writes is left out: batches are writes too, so it would mostly tell how large those are.
    """

    name: Final = "server_load"
    _ASKED: Final = ("globalLock", "opLatencies", "flowControl")
    #: The other large sections, left out so that the answer is small.
    _LEFT_OUT: Final = ("repl", "metrics", "locks", "wiredTiger", "tcmalloc", "transactions", "sharding")

    def __init__(self, database: AnyDatabase, *, queue: Limits = QUEUE, reads: Limits = READS) -> None:
        self._database = database
        self._queue = queue
        self._reads = reads
        self._last: tuple[int, int] | None = None

    async def ask(self) -> Sequence[Answer]:
        """
        See `Signal`.
        """
        sections = {**dict.fromkeys(self._LEFT_OUT, 0), **dict.fromkeys(self._ASKED, 1)}
        with translated():
            status = await self._database.command({"serverStatus": 1, **sections})
        return [self._judge_queue(status), *self._judge_reads(status), *self._judge_flow_control(status)]

    async def close(self) -> None:
        """
        See `Signal`.
        """

    def _judge_queue(self, status: Mapping[str, Any]) -> Answer:
        waiting = status.get("globalLock", {}).get("currentQueue", {}).get("total")
        if waiting is None:
            return Answer("queue", Verdict.UNKNOWN, "the server does not tell how many operations wait")
        return self._queue.judge("queue", waiting, unit="operations", what="waiting for their turn")

    def _judge_reads(self, status: Mapping[str, Any]) -> Sequence[Answer]:
        reads = status.get("opLatencies", {}).get("reads")
        if reads is None:
            return [Answer("read_latency", Verdict.UNKNOWN, "the server does not tell how long reads take")]
        last, self._last = self._last, (reads["latency"], reads["ops"])
        if last is None or self._last[1] <= last[1]:
            # The first question, a quiet second, or another primary.
            return []
        mean = (self._last[0] - last[0]) / (self._last[1] - last[1]) / 1000
        return [self._reads.judge("read_latency", mean, unit="ms", what="the server's reads take")]

    def _judge_flow_control(self, status: Mapping[str, Any]) -> Sequence[Answer]:
        flow_control = status.get("flowControl")
        if flow_control is None or not flow_control.get("enabled"):
            return []
        if flow_control.get("isLagged"):
            return [Answer("flow_control", Verdict.STOP, "flow control slows down every writer")]
        return [Answer("flow_control", Verdict.NORMAL, "flow control does nothing")]
