"""
Workers that begin at once: forked by a process that has loaded docstore and knows no server yet.
"""

import asyncio
import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any, Final

from pymongo import AsyncMongoClient

from docstore import Kind, commands
from docstore.backfill import pacing
from docstore.core import batch_size

#: So short that the next worker need not wait long for it, in seconds.
LEASE: Final = 0.4
#: How many rows a batch holds.
ROWS: Final = 10


def a_worker(uri: str, database: str, kind: Callable[[], Kind[Any]]) -> BaseProcess:
    """
    Start a worker that ends when nothing is open any more.

    Args:
        uri: Where the server is.
        database: The name of the database.
        kind: Makes the kind whose rows it works on; a function of a module.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, kind.__module__])
    process = context.Process(target=_work, args=(uri, database, kind))
    process.start()
    return process


def _work(uri: str, database: str, kind: Callable[[], Kind[Any]]) -> None:
    pacing.FIRST_IN_PYTHON = batch_size.CEILING = ROWS  # type: ignore[misc]

    async def work() -> None:
        async with AsyncMongoClient[dict[str, Any]](uri) as client:
            await commands.work(client[database], [kind()], drain=True, lease=LEASE, throttled=False)

    asyncio.run(work())
