"""
How the demo looks: headings, proofs, bars and tables, on a terminal and in a log file.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from docstore.cli.coverage_table import coverage_bars
from docstore.core.coverage import Coverage

INDENT = (0, 0, 0, 5)
BAR = 24


class Meter(Protocol):
    """
    Something that shows how far a long piece of work is.
    """

    def show(self, done: int, *, note: str = "") -> None:
        """
        Show that *done* of the rows are behind us, with a short note of what else goes on.
        """


class Screen:
    """
    Prints the demo's story. Without a terminal there are neither colours nor control characters.
    """

    def __init__(self, console: Console, *, chapters: int) -> None:
        self._console = console
        self._chapters = chapters
        self._chapter = 0
        fancy = console.encoding.lower().startswith("utf")
        self._tick, self._cross, self._block, self._more = ("✓", "✗", "█", "…") if fancy else ("+", "x", "#", "...")

    def title(self, name: str, text: str) -> None:
        """
        Open the story.
        """
        self._console.print()
        self._console.print(Text.assemble((f" {name} ", "bold reverse"), "  ", text))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """
        Say what is being waited for while the block runs.
        """
        if self._console.is_terminal:
            with self._console.status(f"{' ' * (INDENT[3] - 2)}{text}"):
                yield
        else:
            self.say(text)
            yield

    def end(self, text: str) -> None:
        """
        Close the story.
        """
        self._console.print()
        self._console.print(Text(text, "bold"))

    def chapter(self, title: str, claim: str) -> None:
        """
        Begin the next chapter: what it is about, and one sentence that says what is going to be shown.
        """
        self._chapter += 1
        self._console.print()
        self._console.print(Text.assemble((f"{self._chapter}/{self._chapters}  ", "bold cyan"), (title, "bold")))
        self.say(claim)

    def say(self, text: str | Text, *, style: str = "") -> None:
        """
        Print a line of the story.
        """
        self._console.print(Padding(Text(text, style) if isinstance(text, str) else text, INDENT, expand=False))

    def gap(self) -> None:
        """
        Leave a line empty.
        """
        self._console.print()

    def quote(self, text: str) -> None:
        """
        Print what docstore itself said.
        """
        self._console.print(Padding(Text(text, "yellow"), (0, 0, 0, INDENT[3] + 2), expand=False))

    def proved(self, text: str) -> None:
        """
        Print what was shown to hold.
        """
        self.say(Text.assemble((f"{self._tick} ", "bold green"), text))

    def failed(self, text: str) -> None:
        """
        Print what was expected to hold and does not.
        """
        self.say(Text.assemble((f"{self._cross} ", "bold red"), text))

    def type_next(self, lines: Sequence[tuple[str, str]]) -> None:
        """
        Print commands to copy, each with what it is good for.
        """
        table = Table.grid(padding=(0, 3))
        table.add_column(no_wrap=True)
        table.add_column()
        for command, purpose in lines:
            table.add_row(Text(command, "bold"), Text(f"# {purpose}", "dim"))
        self._console.print(Padding(table, INDENT, expand=False))

    def side_by_side(
        self,
        left: tuple[str, Mapping[str, Any]],
        right: tuple[str, Mapping[str, Any]],
    ) -> None:
        """
        Print two titled documents next to each other; fields that only one side has stand out.
        """
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(ratio=1)
        table.add_column(ratio=1)
        table.add_row(
            self._fields(*left, other=right[1], style="yellow"),
            self._fields(*right, other=left[1], style="green"),
        )
        self._console.print()
        self._console.print(Padding(table, INDENT, expand=False))

    def coverage(self, report: Coverage) -> None:
        """
        Print a coverage report as `docstore coverage` does.
        """
        self._console.print(Padding(coverage_bars(report), INDENT, expand=False))

    @contextmanager
    def meter(self, total: int, text: str) -> Iterator[Meter]:
        """
        Show a bar while the block runs; without a terminal, a line for each quarter.
        """
        if not self._console.is_terminal:
            yield _Quarters(self, total, text)
            return
        progress = Progress(
            TextColumn(" " * INDENT[3] + "{task.description}"),
            BarColumn(BAR, style="dim", complete_style="cyan", finished_style="green"),
            TextColumn("{task.completed:>7,.0f} rows {task.elapsed:>5.1f} s  {task.fields[note]}"),
            console=self._console,
        )
        with progress:
            task = progress.add_task(text, total=total, note="")
            yield _Bar(progress, task)

    def _fields(self, title: str, fields: Mapping[str, Any], *, other: Mapping[str, Any], style: str) -> Table:
        table = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        names = {name.lstrip("_") for name in other}
        for name, value in fields.items():
            table.add_row(name, str(value), style="" if name.lstrip("_") in names else style)
        return table


class _Bar:
    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def show(self, done: int, *, note: str = "") -> None:
        self._progress.update(self._task, completed=done, note=note)


class _Quarters:
    def __init__(self, screen: Screen, total: int, text: str) -> None:
        self._screen = screen
        self._total = total
        self._text = text
        self._begun = time.monotonic()
        self._shown = 0

    def show(self, done: int, *, note: str = "") -> None:
        quarter = 4 * done // self._total if self._total else 4
        if quarter > self._shown:
            self._shown = quarter
            elapsed = time.monotonic() - self._begun
            note = f"  {note}" if note else ""
            self._screen.say(f"{self._text} {quarter:>3}/4  {done:,} rows, {elapsed:.1f} s{note}")
