"""
The server path: a chain's pipeline is run by the server itself, over one range of ids.
"""

from docstore.backfill import events
from docstore.backfill.client_path import ClientPath
from docstore.backfill.context import RunContext
from docstore.backfill.patience import patiently
from docstore.backfill.progress import Path
from docstore.core.chain import CompiledChain
from docstore.core.id_range import BEGINNING, IdRange
from docstore.errors import StoreRejectedError
from docstore.mongo.failures import Reaction, reaction_to
from docstore.mongo.old_rows import OldRows


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
    rest: IdRange | None = range
    while rest is not None and not context.stop.is_set():
        part, rest = await _burst_of(context, rows, rest)
        done = await _rewritten(rows, part, chain)
        context.meter.add(server=done)
        rewritten += done
        if rest is not None:
            await context.breathe()
    if rewritten < size:
        await declined.rewrite(range.after, range.upto)


async def _burst_of(context: RunContext, rows: OldRows, range: IdRange) -> tuple[IdRange, IdRange | None]:
    """
    Return the part of a range that is rewritten before the next pause, and what is left of it.
    """
    most = context.burst(Path.SERVER)
    middle = BEGINNING if most is None else await patiently(lambda: rows.middle(range.after, range.upto, most))
    if middle is BEGINNING:
        return range, None
    return IdRange(range.after, middle), IdRange(middle, range.upto)


async def _rewritten(rows: OldRows, range: IdRange, chain: CompiledChain) -> int:
    try:
        return await patiently(lambda: rows.rewrite(range.after, range.upto, chain))
    except StoreRejectedError as error:
        if reaction_to(error) is Reaction.FAIL:
            raise
        # One row at which the server fails (or that would outgrow it) ends the whole update; the client path finds out
        # which one it is.
        events.range_refused(reason=error.reason, code=error.code)
        return 0
