"""
The nodes of a drill, seen from the process that holds it.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from pydantic import ValidationError

from docstore.drill.node_order import NodeOrder, NodeReport
from docstore.errors import DrillBrokenError

#: How long a node may take to do what it is told, in seconds; joining the fleet alone may take 15.
PATIENCE: Final = 120.0
#: How long a node may take to end by itself when the drill is broken off, in seconds.
_ENDING: Final = 5.0
_LINE_LIMIT: Final = 2**20  # bytes


class NodeProcess:
    """
    One node, as a process that ends with this one. An async context manager.

    Raises:
        DrillBrokenError: It ends before it is told to, or does not do what it is told in time; carries what it said.

    Args:
        order: What it is.
        phase: Tells what the drill is about, for errors.
    """

    def __init__(self, order: NodeOrder, *, phase: Callable[[], str]) -> None:
        self.order = order
        self.report = NodeReport(state="starting")
        self._phase = phase
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._heard = asyncio.Condition()

    async def __aenter__(self) -> Self:
        log = await asyncio.to_thread(self.order.journal.with_suffix(".log").open, "wb")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "docstore.drill.node_process"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=_LINE_LIMIT,
                # Ctrl-C is for us: it ends when its standard input does.
                start_new_session=True,
            )
        self._listening = asyncio.create_task(self._listen())
        try:
            await self._tell(self.order.model_dump_json())
            await self._until("ready")
        except BaseException:
            await self._kill()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kill()

    async def resume(self) -> None:
        """
        Have it write.
        """
        await self._tell("resume")
        await self._until("working")

    async def pause(self) -> None:
        """
        Return when no write of it is under way; it makes none until `resume`.
        """
        await self._tell("pause")
        await self._until("paused")

    async def stop(self) -> None:
        """
        Have it finish its writes, leave the fleet, and end. Idempotent.
        """
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            return
        with suppress(ConnectionError):
            process.stdin.close()
        await self._until("ended")
        try:
            async with asyncio.timeout(PATIENCE):
                code = await process.wait()
        except TimeoutError:
            raise self._broken("it does not end") from None
        if code != 0:
            raise self._broken(f"it ended with {code}")

    async def _tell(self, line: str) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise self._broken("it is not running")
        with suppress(ConnectionError):
            process.stdin.write(line.encode() + b"\n")
            await process.stdin.drain()

    async def _until(self, state: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE), self._heard:
                await self._heard.wait_for(lambda: self.report.state in {state, "refused", "gone"})
        except TimeoutError:
            raise self._broken(f"it is {self.report.state} and not {state} after {PATIENCE:.0f} s") from None
        if self.report.state != state:
            raise self._broken(self.report.reason or "it has ended")

    async def _listen(self) -> None:
        process = self._process
        while process is not None and process.stdout is not None and (line := await process.stdout.readline()):
            with suppress(ValidationError):
                await self._hear(NodeReport.model_validate_json(line))
        if self.report.state not in {"ended", "refused"}:
            reason = await asyncio.to_thread(self._last_words)
            await self._hear(self.report.model_copy(update={"state": "gone", "reason": reason}))

    async def _hear(self, report: NodeReport) -> None:
        async with self._heard:
            self.report = report
            self._heard.notify_all()

    async def _kill(self) -> None:
        process = self._process
        if process is not None and process.stdin is not None and process.returncode is None:
            # A transaction of a process that is killed holds its locks for a minute: nobody could drop the database.
            process.stdin.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(_ENDING):
                    await process.wait()
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._listening is not None:
            await asyncio.gather(self._listening, return_exceptions=True)

    def _last_words(self) -> str:
        """Return the class of the exception that ended it; its text could hold a row's values."""
        lines = self.order.journal.with_suffix(".log").read_text(errors="replace").splitlines()
        said = [line for line in lines if line and not line[0].isspace() and ":" in line]
        return f"it has ended: {said[-1].partition(':')[0]}" if said else "it has ended"

    def _broken(self, reason: str) -> DrillBrokenError:
        return DrillBrokenError(kind=self.order.kind, phase=self._phase(), reason=f"{self.order.instance}: {reason}")
