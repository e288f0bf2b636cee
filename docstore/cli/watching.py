"""
`docstore backfill status --watch`: how runs stand, shown anew every second.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from docstore import commands
from docstore.backfill.ending import Ending
from docstore.backfill.run_status import RunStatus
from docstore.cli.complaints import note
from docstore.cli.options import Format
from docstore.cli.run_table import runs_table, show_runs
from docstore.cli.signals import stopped_by_signals
from docstore.errors import StoreUnavailableError
from docstore.mongo.driver import AnyDatabase

#: How often to look, in seconds.
WATCH: Final = 1.0


async def watched(database: AnyDatabase, kind: str | None, format: Format) -> None:
    """
    Show how runs stand until Ctrl-C or SIGTERM: in place on a terminal, one report after another elsewhere.

    A database that is away is said to be so, and looked for again.
    """
    console = Console(highlight=False)
    with stopped_by_signals(None) as stop:
        if format is Format.JSON or not console.is_terminal:
            async for seen in _looks(database, kind, stop):
                if isinstance(seen, StoreUnavailableError):
                    note(str(seen))
                else:
                    show_runs(seen, format, kind=kind)
            return
        with Live(console=console, auto_refresh=False) as live:
            async for seen in _looks(database, kind, stop):
                if isinstance(seen, StoreUnavailableError):
                    live.update(Text(str(seen), "red"), refresh=True)
                else:
                    live.update(runs_table(seen, kind=kind), refresh=True)


async def _looks(
    database: AnyDatabase, kind: str | None, stop: asyncio.Event
) -> AsyncIterator[Sequence[RunStatus] | StoreUnavailableError]:
    ending = Ending(stop)
    while not stop.is_set():
        try:
            seen = await ending.unless_stopped(commands.backfill_status(database, kind), grace=0.0)
        except StoreUnavailableError as error:
            yield error
        else:
            if seen is not None:
                yield seen
        await _until(stop)


async def _until(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), WATCH)
