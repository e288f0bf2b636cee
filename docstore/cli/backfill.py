"""`docstore backfill`: parse, run, render."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console

from docstore import commands
from docstore.backfill.progress import BackfillResult
from docstore.cli.backfill_progress import shown_progress
from docstore.cli.backfill_summary import backfill_summary
from docstore.cli.complaints import complain, note
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.running import run, usage_fault, workplace

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

# Paragraphs are single lines, which typer wraps to the terminal.
_START_HELP: Final = (
    "Bring every row of KIND below a schema version up to it.\n\n"
    "Others may read and write all the time: a rewrite takes effect only if the row is still what it was computed "
    "from. Steps made of operations run inside the server, all others in Python. Rows that cannot be upgraded stay as "
    "they are, with a record each in docstore_quarantine.\n\n"
    "Ctrl-C finishes the batches in flight and stops; the same command goes on where it stopped."
)
_START_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore backfill start city --wait\n\n"
    "  docstore backfill start city --to 4 --wait --format json\n\n"
    "[dim]Exit codes: 0 every row is there, 1 rows are left (in quarantine, or the run was interrupted), "
    "3 refused: every row stands above --to.[/]"
)


@app.callback()
def backfill() -> None:
    """Rewrite old rows at a newer version, while others read and write them."""


@app.command(help=_START_HELP, epilog=_START_EXAMPLE)
def start(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Whose rows to rewrite.", show_default=False)],
    *,
    to: Annotated[
        int | None,
        typer.Option(
            metavar="VERSION",
            help="The schema version to bring rows to; the latest by default. Rows above it are left alone.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Do the work in this process and return when it is done.")
    ] = False,
    record_error_text: Annotated[
        bool,
        typer.Option(
            "--record-error-text",
            help="Keep what a step or the model said about a row in its quarantine record. It can hold values of "
            "the row.",
        ),
    ] = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """See `_START_HELP`."""
    if not wait:
        raise usage_fault(
            "a backfill runs in the process that starts it, so --wait is needed",
            f"docstore backfill start {kind}{'' if to is None else f' --to {to}'} --wait",
        )
    where = Where(uri=uri, database=database, upgraders=upgraders)
    run(_start(context, where, kind, to=to, record_error_text=record_error_text, format=format))


async def _start(
    context: typer.Context, where: Where, kind: str, *, to: int | None, record_error_text: bool, format: Format
) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        with _stopped_by_signals() as stop, shown_progress(kind) as on_progress:
            result = await commands.backfill(
                place.database,
                place.kind(kind),
                to=to,
                record_error_text=record_error_text,
                on_progress=on_progress,
                stop=stop,
            )
    if format is Format.JSON:
        typer.echo(json.dumps({**result.model_dump(mode="json"), "complete": result.complete}))
    else:
        Console(highlight=False).print(backfill_summary(result))
    return _verdict(result)


def _verdict(result: BackfillResult) -> ExitCode:
    if result.complete:
        return ExitCode.DONE
    again = f"docstore backfill start {result.kind} --to {result.target} --wait"
    rows = "1 row is" if result.remaining == 1 else f"{result.remaining:,} rows are"
    if result.interrupted:
        complain(f"interrupted: {rows} still below version {result.target}", f"{again} goes on")
    elif result.quarantined >= result.remaining:
        complain(
            f"{rows} still below version {result.target}, in quarantine",
            f"docstore_quarantine says why; mend the rows or the steps, then: {again}",
        )
    else:
        complain(f"{rows} still below version {result.target}: others keep writing old rows", f"{again} goes on")
    return ExitCode.FAILED


@contextmanager
def _stopped_by_signals() -> Iterator[asyncio.Event]:
    """Give an event that Ctrl-C or SIGTERM sets; a second Ctrl-C ends the process the hard way."""
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
