"""
Playing the demo: the stage is set, the story told, and everything removed, or left running on demand.
"""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from rich.console import Console

from docstore.demo.cities import as_stored, read_places, spread
from docstore.demo.screen import Screen
from docstore.demo.stage import Stage, stage
from docstore.demo.story import CHAPTERS, DemoFailedError, Story
from upgraders.city import city

#: Loaded unless the user says otherwise.
ROWS = 50_000
#: What the mock gets through in about the same time.
ROWS_ON_MOCK = 500
#: Old rows that `--keep` leaves behind, so that there is something to do.
ROWS_TO_KEEP = 1_000


@dataclass(frozen=True, slots=True)
class Options:
    """
    What the user asked for.
    """

    #: How many places to load; None for all of them.
    rows: int | None = ROWS
    #: Leave the server running at the end.
    keep: bool = False


async def play(options: Options, console: Console) -> bool:
    """
    Play the demo; return whether everything held that it set out to prove.
    """
    begun = time.monotonic()
    screen = Screen(console, chapters=CHAPTERS)
    screen.title("docstore", "real places, four releases of their shape, and a database that never stops")
    async with AsyncExitStack() as stack:
        with screen.waiting("Starting a private MongoDB and reading the places of GeoNames"):
            reading = asyncio.create_task(asyncio.to_thread(read_places))
            scene = await stack.enter_async_context(stage())
            everything = await reading
        _introduce(scene, screen)
        places = spread(everything, _rows(options, scene, len(everything)))
        # The last ones come in at the end, so that whoever keeps the server has something to do.
        server = scene.server if options.keep else None
        kept = 0 if server is None else ROWS_TO_KEEP
        story = Story(scene, screen, city, places[: len(places) - kept])
        try:
            await story.tell()
        except DemoFailedError:
            return False
        screen.end(f"Done in {time.monotonic() - begun:.0f} s.")
        if server is not None:
            await story.rows.insert_many(list(as_stored(places[-kept:], city)), ordered=False)
            scene.keep = True
            _say_what_is_next(scene.uri, [member.pid for member in server.members], screen)
    return True


def _introduce(scene: Stage, screen: Screen) -> None:
    screen.say(scene.engine)
    if scene.obstacle is not None:
        screen.failed(f"No MongoDB can run here: {scene.obstacle}.")
        if scene.obstacle.advice is not None:
            screen.say(f"To get one: {scene.obstacle.advice}.")
        screen.say("The mock shows reading, counting and rewriting; what many writers do at once, it cannot show.")


def _rows(options: Options, scene: Stage, available: int) -> int:
    if scene.server is None:
        return min(options.rows or available, ROWS_ON_MOCK)
    return min(options.rows or available, available)


def _say_what_is_next(uri: str, pids: Sequence[int | None], screen: Screen) -> None:
    here = "docstore" if shutil.which("docstore") else os.path.relpath(sys.argv[0])
    lines = [
        (f"{here} coverage", f"{ROWS_TO_KEEP:,} old rows have come in just now"),
        (f"{here} backfill start city --wait", "rewrites them"),
    ]
    lines.append((f"{here} drill city", "rehearses a flip and the way back, on another private server"))
    if shutil.which("mongosh"):
        lines.append(('mongosh "$DOCSTORE_URI"', "shows what is stored"))
    lines.append((f"kill {' '.join(map(str, pids))}", "ends the server and removes its files"))
    screen.gap()
    screen.say("The server goes on running. In the folder of the clone, type:")
    screen.gap()
    screen.say(f"export DOCSTORE_URI='{uri}'", style="bold")
    screen.type_next(lines)
