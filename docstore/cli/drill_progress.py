"""
Showing a drill while it goes on: one line that moves on a terminal, a line for each phase elsewhere; always on stderr.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from docstore.cli.complaints import note


class ShownDrill:
    """
    Shows the phase and how many writes were acknowledged.

    Args:
        status: Where; None where there is no terminal.
    """

    def __init__(self, status: Status | None) -> None:
        self._status = status
        self._phase = ""
        self._writes = ""

    def phase(self, name: str, text: str) -> None:
        """
        Show that a phase begins.
        """
        self._phase = f"{name}: {text}"
        if self._status is None:
            note(f"{self._phase}{self._writes}")
        else:
            self._draw()

    def writes(self, old: int, new: int) -> None:
        """
        Show how many writes were acknowledged so far.
        """
        self._writes = f" ({old:,} writes by the old release, {new:,} by the new one)"
        self._draw()

    def _draw(self) -> None:
        if self._status is not None:
            self._status.update(f"{self._phase}{self._writes}")


@contextmanager
def shown_drill() -> Iterator[ShownDrill]:
    """
    Give what shows the progress of a drill until the block ends.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield ShownDrill(None)
        return
    with console.status("") as status:
        yield ShownDrill(status)
