"""
`--watch`: something shown anew every second or so; the runs of `docstore backfill status` and whatever others look at.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from docstore import commands
from docstore.backfill.ending import Ending
from docstore.cli.complaints import note
from docstore.cli.options import Format
from docstore.cli.run_table import runs_table, show_runs
from docstore.cli.signals import stopped_by_signals
from docstore.errors import StoreUnavailableError
from docstore.mongo.driver import AnyDatabase

T = TypeVar("T")

#: How often to look, in seconds.
WATCH: Final = 1.0


async def watched(database: AnyDatabase, kind: str | None, format: Format) -> None:
    """
    Show how runs stand until Ctrl-C or SIGTERM: in place on a terminal, one report after another elsewhere.

    A database that is away is said to be so, and looked for again.
    """
    await watch(
        lambda: commands.backfill_status(database, kind),
        lambda seen: runs_table(seen, kind=kind),
        lambda seen: show_runs(seen, format, kind=kind),
        in_place=format is not Format.JSON,
    )


async def watch(
    look: Callable[[], Coroutine[Any, Any, T]],
    table: Callable[[T], RenderableType],
    write: Callable[[T], None],
    *,
    in_place: bool,
    pause: Callable[[float], float] = lambda _: WATCH,
) -> None:
    """
    Look again and again, until Ctrl-C or SIGTERM, and show what was seen.

    A database that is away is said to be so, and looked for again.

    Args:
        look: Looks once.
        table: What is shown in place on a terminal.
        write: Writes it to stdout elsewhere.
        in_place: Whether a terminal is shown it in place.
        pause: How long to wait, in seconds, after a look that took so long.
    """
    console = Console(highlight=False)
    with stopped_by_signals(None) as stop:
        looks = _looks(look, stop, pause)
        if not in_place or not console.is_terminal:
            async for seen in looks:
                if isinstance(seen, StoreUnavailableError):
                    note(str(seen))
                else:
                    write(seen)
            return
        with Live(console=console, auto_refresh=False) as live:
            async for seen in looks:
                shown = Text(str(seen), "red") if isinstance(seen, StoreUnavailableError) else table(seen)
                live.update(shown, refresh=True)


async def _looks(
    look: Callable[[], Coroutine[Any, Any, T]], stop: asyncio.Event, pause: Callable[[float], float]
) -> AsyncIterator[T | StoreUnavailableError]:
    ending = Ending(stop)
    while not stop.is_set():
        begun = time.monotonic()
        try:
            seen = await ending.unless_stopped(look(), grace=0.0)
        except StoreUnavailableError as error:
            yield error
        else:
            if seen is not None:
                yield seen
        await _until(stop, pause(time.monotonic() - begun))


async def _until(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
