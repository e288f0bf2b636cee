"""
The server path: a chain's pipeline is run by the server itself, over one range of ids.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.client_path import ClientPath
from docstore.backfill.context import RunContext
from docstore.backfill.patience import patiently
from docstore.backfill.progress import Path
from docstore.core.chain import CompiledChain
from docstore.core.id_range import IdRange
from docstore.errors import StoreRejectedError
from docstore.mongo.failures import Reaction, reaction_to
from docstore.mongo.old_rows import OldRows

#: Rows whose ids are asked for together, to find the ends of bursts.
IDS_AT_ONCE: Final = 1_000


async def rewrite_on_server(
    context: RunContext, rows: OldRows, chain: CompiledChain, range: IdRange, declined: ClientPath, *, size: int
) -> None:
    """
    Rewrite the rows of one version and range inside the server, each by one atomic update.

    Args:
        context: The run.
        rows: The rows.
        chain: The way to the target, compiled.
        range: Their ids.
        declined: Takes the rows that the chain's condition declines, and the range if the server fails at a row.
        size: How many rows the range holds, as far as is known.

    Raises:
        StoreTimeoutError: It took too long; a part of the rows may be done.
    """
    rewritten = 0
    async with aclosing(_bursts(context, rows, range)) as bursts:
        async for burst in bursts:
            # The log is in order: what the members have of the last burst, they have of all before it. An election in
            # between may take bursts back. Then too many rows are counted, and the final pass finds those that are old.
            done = await _rewritten(rows, burst, chain, waits=burst.upto is range.upto)
            context.meter.add(server=done)
            rewritten += done
            if context.stop.is_set():
                break
    if rewritten < size:
        await declined.rewrite(range.after, range.upto)


async def _bursts(context: RunContext, rows: OldRows, range: IdRange) -> AsyncGenerator[IdRange, None]:
    """
    Cut a range into parts, each as large as the pauses ask for by then, and pause between them.
    """
    rest, ends, is_whole = range, list[Any](), False
    while (most := context.burst(Path.SERVER)) is not None and (ends or not is_whole):
        if ends:
            end = ends.pop()
            yield IdRange(rest.after, end)
            rest = IdRange(end, rest.upto)
            await context.breathe(0)
        else:
            # Asked for each by itself, they would cost as much as some of the rows.
            number = max(1, IDS_AT_ONCE // most)
            found = await patiently(partial(rows.ends, rest.after, rest.upto, size=most, number=number))
            ends, is_whole = found[::-1], len(found) < number
            await context.breathe(1)
    yield rest


async def _rewritten(rows: OldRows, range: IdRange, chain: CompiledChain, *, waits: bool) -> int:
    try:
        return await patiently(lambda: rows.rewrite(range.after, range.upto, chain, waits=waits))
    except StoreRejectedError as error:
        if reaction_to(error) is Reaction.FAIL:
            raise
        # One row at which the server fails (or that would outgrow it) ends the whole update; the client path finds out
        # which one it is.
        events.range_refused(reason=error.reason, code=error.code)
        return 0
