"""The server path: a chain's pipeline is run by the server itself, over one range of ids after another."""

import asyncio
from collections import deque
from typing import Any, Final

import structlog

from docstore.backfill.client_path import ClientPath
from docstore.backfill.context import RunContext
from docstore.backfill.patience import cancelled, patiently
from docstore.core.chain import CompiledChain
from docstore.errors import StoreRejectedError
from docstore.mongo.old_rows import BEGINNING, OldRows

#: Rows in one range: an update of so many takes a fraction of a second, and the majority of the members follows.
RANGE_SIZE: Final = 5000
#: Ranges that are rewritten at the same time, so that one is worked on while another waits for the majority.
IN_FLIGHT: Final = 2

_log = structlog.get_logger(__name__)


class ServerPath:
    """
    Rewrites the rows of one version inside the server, each by one atomic update.

    Args:
        context: The run.
        rows: The rows.
        chain: The way to the target, compiled.
        declined: Takes the rows that the chain's condition declines, and the ranges at which the server fails.
    """

    def __init__(self, context: RunContext, rows: OldRows, chain: CompiledChain, declined: ClientPath) -> None:
        self._context = context
        self._rows = rows
        self._chain = chain
        self._declined = declined

    async def rewrite(self) -> None:
        """Rewrite all of the rows."""
        in_flight: deque[asyncio.Task[None]] = deque()
        after: Any = BEGINNING
        following = self._look_ahead(after)
        try:
            while (upto := await following) is not BEGINNING and not self._context.stop.is_set():
                following = self._look_ahead(upto)
                in_flight.append(asyncio.create_task(self._rewrite_range(after, upto)))
                if len(in_flight) == IN_FLIGHT:
                    await in_flight.popleft()
                after = upto
            while in_flight:
                await in_flight.popleft()
        finally:
            await cancelled(following, *in_flight)

    def _look_ahead(self, after: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(patiently(lambda: self._rows.end_of_range(after, RANGE_SIZE)))

    async def _rewrite_range(self, after: Any, upto: Any) -> None:
        try:
            rewritten = await patiently(lambda: self._rows.rewrite(after, upto, self._chain))
        except StoreRejectedError as error:
            # One row at which the server fails ends the whole update; the client path finds out which one it is.
            _log.info("range_refused", kind=self._context.kind.name, reason=error.reason, code=error.code)
            rewritten = 0
        self._context.meter.add(server=rewritten)
        if rewritten < RANGE_SIZE:
            await self._declined.rewrite(after, upto)
