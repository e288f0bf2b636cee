"""
The server path: a chain's pipeline is run by the server itself, over one range of ids.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
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

#: Parts of a range whose ends are asked for together.
ENDS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class _Burst:
    """
    The ids of the rows that are rewritten before the next pause, and how many reads it took to find them.
    """

    range: IdRange
    reads: int
    is_last: bool


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
            if context.stop.is_set():
                break
            done = await _rewritten(rows, burst.range, chain, settled=burst.is_last)
            context.meter.add(server=done)
            rewritten += done
            if not burst.is_last:
                await context.breathe(burst.reads)
    if rewritten < size:
        await declined.rewrite(range.after, range.upto)


async def _bursts(context: RunContext, rows: OldRows, range: IdRange) -> AsyncGenerator[_Burst, None]:
    """
    Cut a range into parts, each as large as the pauses ask for by then.
    """
    after, reads = range.after, 0
    ends: list[Any] = []
    is_whole = False
    while not is_whole or ends:
        most = context.burst(Path.SERVER)
        if most is None:
            break
        if not ends:
            # Asked for each by itself, they would cost as much as some of the rows.
            wanted = partial(rows.ends, after, range.upto, size=most, number=ENDS_AT_ONCE)
            ends, reads = (await patiently(wanted))[::-1], 1
            is_whole = len(ends) < ENDS_AT_ONCE
            continue
        end = ends.pop()
        yield _Burst(IdRange(after, end), reads=reads, is_last=False)
        after, reads = end, 0
    yield _Burst(IdRange(after, range.upto), reads=reads, is_last=True)


async def _rewritten(rows: OldRows, range: IdRange, chain: CompiledChain, *, settled: bool) -> int:
    try:
        return await patiently(lambda: rows.rewrite(range.after, range.upto, chain, settled=settled))
    except StoreRejectedError as error:
        if reaction_to(error) is Reaction.FAIL:
            raise
        # One row at which the server fails (or that would outgrow it) ends the whole update; the client path finds out
        # which one it is.
        events.range_refused(reason=error.reason, code=error.code)
        return 0
