"""The server path: a chain's pipeline is run by the server itself, over one range of ids after another."""

import asyncio
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.client_path import ClientPath
from docstore.backfill.context import RunContext
from docstore.backfill.patience import patiently
from docstore.core.chain import CompiledChain
from docstore.errors import StoreRejectedError
from docstore.mongo.old_rows import BEGINNING, OldRows

#: Rows in one range. One update of so many takes a fraction of a second, and waits for the majority before the next.
RANGE_SIZE: Final = 10_000


async def rewrite_on_server(context: RunContext, rows: OldRows, chain: CompiledChain, declined: ClientPath) -> None:
    """
    Rewrite the rows of one version inside the server, each by one atomic update.

    Args:
        context: The run.
        rows: The rows.
        chain: The way to the target, compiled.
        declined: Takes the rows that the chain's condition declines, and the ranges at which the server fails.
    """
    after: Any = BEGINNING
    upto = await _end_of_range(rows, after)
    while upto is not BEGINNING and not context.stop.is_set():
        # The end of the next range is looked up while this one is rewritten.
        following = asyncio.create_task(_end_of_range(rows, upto))
        try:
            rewritten = await _rewritten(rows, after, upto, chain)
            context.meter.add(server=rewritten)
            if rewritten < RANGE_SIZE:
                await declined.rewrite(after, upto)
            after, upto = upto, await following
        finally:
            following.cancel()


async def _end_of_range(rows: OldRows, after: Any) -> Any:
    return await patiently(lambda: rows.end_of_range(after, RANGE_SIZE))


async def _rewritten(rows: OldRows, after: Any, upto: Any, chain: CompiledChain) -> int:
    try:
        return await patiently(lambda: rows.rewrite(after, upto, chain))
    except StoreRejectedError as error:
        # One row at which the server fails ends the whole update; the client path finds out which one it is.
        events.range_refused(reason=error.reason, code=error.code)
        return 0
