"""
`docstore backfill status --watch`: how runs stand, shown anew every second.
"""

import asyncio
from contextlib import suppress
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from docstore import commands
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
            while not stop.is_set():
                try:
                    show_runs(await commands.backfill_status(database, kind), format, kind=kind)
                except StoreUnavailableError as error:
                    note(str(error))
                await _until(stop)
            return
        with Live(console=console, auto_refresh=False) as live:
            while not stop.is_set():
                try:
                    live.update(runs_table(await commands.backfill_status(database, kind), kind=kind), refresh=True)
                except StoreUnavailableError as error:
                    live.update(Text(str(error), "red"), refresh=True)
                await _until(stop)


async def _until(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), WATCH)
