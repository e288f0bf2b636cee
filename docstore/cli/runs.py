"""
`docstore backfill status|pause|resume|cancel|set`: parse, ask, render.
"""

import getpass
import os
import socket
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import typer

from docstore import commands
from docstore.backfill.operating import LiveOption
from docstore.backfill.run_status import RunStatus
from docstore.cli.durations import parse_duration
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Uri, Where, Why
from docstore.cli.run_table import show_runs
from docstore.cli.running import opened, run, usage_fault
from docstore.cli.watching import watched
from docstore.mongo.driver import AnyDatabase

# Paragraphs are single lines, which typer wraps to the terminal.
STATUS_HELP: Final = (
    "Show how the last run of each kind stands: rows, speed, time left, holds, workers.\n\n"
    "The speed is that of the batches, at most what the limit allows; the time left is reckoned with it, so it "
    "is time at work: holds and pauses come on top. Reads only."
)
PAUSE_HELP: Final = (
    "Have nobody work on KIND's run until it is resumed; batches in flight are finished.\n\n"
    "The run is pausing until the last worker has finished its batch, and paused from then on. It keeps its "
    "place."
)
RESUME_HELP: Final = (
    "Have KIND's paused or failed run go on where it stopped.\n\n"
    "The batches of a failed run are tried again, after whatever made it fail was mended."
)
CANCEL_HELP: Final = (
    "End KIND's run for good. Rows that were rewritten stay so.\n\n"
    "A new run finds the rows that are left by itself, so nothing is lost; only the numbers begin anew."
)
SET_HELP: Final = (
    "Change a limit of KIND's open run. Workers keep to it within about a second.\n\n"
    "rate: rows per second of all workers together, or none. batch-seconds: how long a batch should take."
)
STATUS_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore backfill status\n\n"
    "  docstore backfill status city --watch\n\n"
    "  docstore backfill status city --format json | jq '.\\[0].remaining'\n\n"
    "[dim]Exit codes: 0 shown, also where nothing was ever asked for.[/]"
)
WISH_EXAMPLE: Final = (
    "[bold]Example[/]\n\n  docstore backfill {verb} city --why 'incident 4711'\n\n"
    "[dim]Exit codes: 0 asked for, or the case already, 2 KIND has no run, 3 the run is in a state from which that "
    "cannot follow.[/]"
)
SET_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore backfill set city rate 500 --for 10m\n\n"
    "  docstore backfill set city rate none\n\n"
    "  docstore backfill set city batch-seconds 0.2\n\n"
    "[dim]Exit codes: 0 set, 2 KIND has no open run.[/]"
)

KindArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="KIND", help="The kind whose run it is.", show_default=False)
]
_Ask: TypeAlias = Callable[[AnyDatabase], Awaitable[RunStatus]]


class Option(StrEnum):
    """
    What can be changed while a run is open.
    """

    RATE = "rate"
    BATCH_SECONDS = "batch-seconds"


#: The least that a limit may be: rows per second, and seconds per batch.
LEAST_RATE: Final = 0.001
LEAST_SECONDS: Final = 0.01
_LEAST: Final = {Option.RATE: LEAST_RATE, Option.BATCH_SECONDS: LEAST_SECONDS}
_LIVE: Final = {Option.RATE: LiveOption.RATE, Option.BATCH_SECONDS: LiveOption.BATCH_SECONDS}


def operator() -> str:
    """
    Return who types, for the history.
    """
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def status(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="The kind whose run to show; all of them by default.", show_default=False),
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every second, until Ctrl-C.")] = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `STATUS_HELP`.
    """
    run(_status(context, Where(uri=uri, database=database), kind, watch=watch, format=format))


async def _status(context: typer.Context, where: Where, kind: str | None, *, watch: bool, format: Format) -> ExitCode:
    async with opened(context, where) as database:
        if watch:
            await watched(database, kind, format)
            return ExitCode.DONE
        show_runs(await commands.backfill_status(database, kind), format, kind=kind)
    return ExitCode.DONE


def pause(
    context: typer.Context,
    kind: KindArgument,
    *,
    why: Why = "",
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `PAUSE_HELP`.
    """
    _ask(
        context,
        Where(uri=uri, database=database),
        format,
        lambda db: commands.backfill_pause(db, kind, by=operator(), why=why),
    )


def resume(
    context: typer.Context,
    kind: KindArgument,
    *,
    why: Why = "",
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `RESUME_HELP`.
    """
    _ask(
        context,
        Where(uri=uri, database=database),
        format,
        lambda db: commands.backfill_resume(db, kind, by=operator(), why=why),
    )


def cancel(
    context: typer.Context,
    kind: KindArgument,
    *,
    why: Why = "",
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `CANCEL_HELP`.
    """
    _ask(
        context,
        Where(uri=uri, database=database),
        format,
        lambda db: commands.backfill_cancel(db, kind, by=operator(), why=why),
    )


def set_option(
    context: typer.Context,
    kind: KindArgument,
    option: Annotated[Option, typer.Argument(metavar="KEY", help="rate (rows/s) or batch-seconds.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A number; for the rate also none.")],
    *,
    duration: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            help="How long it holds, 10m for example; then the run goes back to what it was. For good by default.",
            show_default=False,
        ),
    ] = None,
    why: Why = "",
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `SET_HELP`.
    """
    number = _number(option, value)
    seconds = None if duration is None else parse_duration(duration)
    _ask(
        context,
        Where(uri=uri, database=database),
        format,
        lambda db: commands.backfill_set(db, kind, _LIVE[option], number, seconds=seconds, by=operator(), why=why),
    )


def _ask(context: typer.Context, where: Where, format: Format, ask: _Ask) -> None:
    run(_asked(context, where, format, ask))


async def _asked(context: typer.Context, where: Where, format: Format, ask: _Ask) -> ExitCode:
    async with opened(context, where) as database:
        show_runs([await ask(database)], format)
    return ExitCode.DONE


def _number(option: Option, value: str) -> float | None:
    if option is Option.RATE and value.lower() == "none":
        return None
    least = _LEAST[option]
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not least <= number < float("inf"):
        raise usage_fault(
            f"{option} has to be a number, at least {least:g}, not {value!r}", "docstore backfill set --help"
        )
    return number
