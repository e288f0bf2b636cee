"""
Ending in good order: what Ctrl-C and SIGTERM do to a command that works for long.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from docstore.cli.complaints import note


@contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """
    Give an event that Ctrl-C or SIGTERM sets; a second one ends the process the hard way.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        note("stopping after the batches in flight; Ctrl-C again ends at once")
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
