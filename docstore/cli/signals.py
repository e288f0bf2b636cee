"""
Ending in good order: what Ctrl-C and SIGTERM do to a command that works for long.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from docstore.cli.complaints import note

#: What is said by commands that work on batches.
IN_FLIGHT: Final = "stopping after the batches in flight; Ctrl-C again ends at once"


@contextmanager
def stopped_by_signals(said: str | None = IN_FLIGHT) -> Iterator[asyncio.Event]:
    """
    Give an event that Ctrl-C or SIGTERM sets; a second one ends the process the hard way.

    Args:
        said: What the user is told at the first one; None for nothing.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        if said is not None:
            note(said)
        stop.set()
        _restore()

    def _restore() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    try:
        yield stop
    finally:
        _restore()
