"""
`docstore coverage --watch`: counted again and again.
"""

import time
from dataclasses import replace
from typing import Final

from docstore.cli.coverage_formats import CoverageFormat
from docstore.cli.coverage_output import tables, write, written_text
from docstore.cli.coverage_wish import Results, Wish
from docstore.cli.running import Workplace
from docstore.cli.watching import WATCH, watch

#: How much longer than the counting the pause after it is: a server is not to be busy with being watched.
_COURTESY: Final = 9.0
#: How often counts are kept, in seconds.
_KEPT: Final = 60.0


async def watch_coverage(place: Workplace, wish: Wish, format: CoverageFormat) -> None:
    """
    Count and show until Ctrl-C or SIGTERM; an index is built at most once.
    """
    coming, due = wish, time.monotonic()

    async def look() -> Results:
        nonlocal coming, due
        begun = time.monotonic()
        keeps = wish.record and begun >= due
        results = await replace(coming, record=keeps).counted(place)
        coming = replace(wish, create_index=False)
        due = begun + _KEPT if keeps else due
        return results

    await watch(
        look,
        tables,
        lambda results: write(results, written_text(results, format)),
        in_place=format is CoverageFormat.TABLE,
        pause=lambda seconds: max(WATCH, _COURTESY * seconds),
    )
