"""Showing a backfill while it runs: a bar on a terminal, a line now and then elsewhere; always on stderr."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from docstore.backfill.progress import BackfillProgress, OnProgress, Path, Phase
from docstore.cli.complaints import note
from docstore.cli.durations import span

#: How often a line is written where there is no terminal, in seconds.
LINE_INTERVAL: Final = 5.0


@contextmanager
def shown_progress(kind: str) -> Iterator[OnProgress]:
    """Give what shows the progress of a backfill of *kind* until the block ends."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(kind)
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} %"),
        _Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("[dim]{task.fields[remark]}"),
        console=console,
        transient=True,
        # The rate is an average of this many seconds.
        speed_estimate_period=10,
    )
    with bar:
        yield _Bar(bar, kind)


class _Rate(ProgressColumn):
    """Rows in a second, as of late."""

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        return Text("" if task.speed is None else f"{task.speed:,.0f} rows/s")


class _Bar:
    """
    The rows of the whole run, whoever does them; those that were done before it was drawn do not count for its speed.
    """

    def __init__(self, bar: Progress, kind: str) -> None:
        self._bar = bar
        self._task = bar.add_task(kind, total=None, remark="counting")
        self._drawn = False

    def __call__(self, progress: BackfillProgress) -> None:
        # Rows that came since the run began would make more than all of them.
        total = max(progress.total, progress.done) or None
        if total is not None and not self._drawn:
            self._drawn = True
            self._bar.reset(self._task, total=total, completed=progress.done)
        self._bar.update(self._task, total=total, completed=progress.done, remark=_remark(progress))


class _Lines:
    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._next = time.monotonic() + LINE_INTERVAL
        #: When rows were first known to be there, and how many were done by then.
        self._begun: tuple[float, int] | None = None
        self._phase: Phase | None = None

    def __call__(self, progress: BackfillProgress) -> None:
        if progress.phase is Phase.INDEX and self._phase is not Phase.INDEX:
            note(f"{self._kind}: {_remark(progress)} ...")
        self._phase = progress.phase
        now = time.monotonic()
        if progress.total and self._begun is None:
            self._begun = (now, progress.done)
        if now < self._next or self._begun is None:
            return
        self._next = now + LINE_INTERVAL
        began, before = self._begun
        rate = (progress.done - before) / (now - began) if now > began else 0.0
        left = f"about {span(max(progress.total - progress.done, 0) / rate)} left, " if rate else ""
        note(
            f"{self._kind}: {progress.done:,} of {progress.total:,} rows, {rate:,.0f} rows/s, {left}{_remark(progress)}"
        )


def _remark(progress: BackfillProgress) -> str:
    if progress.phase is Phase.INDEX:
        return "building the (tag, _id) index"
    if progress.hold:
        return f"holding back: {progress.hold}"
    if progress.phase is Phase.COUNT:
        return "others work on it" if progress.others else "counting what is left"
    if progress.path is None:
        return "looking for rows"
    version = "untagged rows" if progress.version is None else f"version {progress.version}"
    where = "in the server" if progress.path is Path.SERVER else "in Python"
    aside = f", {progress.quarantined:,} put aside" if progress.quarantined else ""
    return f"{version} {where}{aside}"
