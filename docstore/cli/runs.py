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
from docstore.cli.options import Database, Format, FormatOption, Uri, Where
from docstore.cli.run_table import show_runs
from docstore.cli.running import opened, run, usage_fault
from docstore.cli.watching import watched
from docstore.mongo.driver import AnyDatabase

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
    Show how the last run of each kind stands: rows, speed, time left, holds, workers.
    """
    run(_status(context, Where(uri=uri, database=database), kind, watch=watch, format=format))


async def _status(context: typer.Context, where: Where, kind: str | None, *, watch: bool, format: Format) -> ExitCode:
    async with opened(context, where) as database:
        if watch:
            await watched(database, kind, format)
            return ExitCode.DONE
        show_runs(await commands.backfill_status(database, kind), format)
    return ExitCode.DONE


def pause(
    context: typer.Context,
    kind: KindArgument,
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    Have nobody work on KIND's run until it is resumed; batches in flight are finished.
    """
    _ask(
        context, Where(uri=uri, database=database), format, lambda db: commands.backfill_pause(db, kind, by=operator())
    )


def resume(
    context: typer.Context,
    kind: KindArgument,
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    Have KIND's paused or failed run go on where it stopped.
    """
    _ask(
        context, Where(uri=uri, database=database), format, lambda db: commands.backfill_resume(db, kind, by=operator())
    )


def cancel(
    context: typer.Context,
    kind: KindArgument,
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    End KIND's run for good. Rows that were rewritten stay so.
    """
    _ask(
        context, Where(uri=uri, database=database), format, lambda db: commands.backfill_cancel(db, kind, by=operator())
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
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    Change a limit of KIND's open run. Workers keep to it within about a second.
    """
    number = _number(option, value)
    seconds = None if duration is None else parse_duration(duration)
    _ask(
        context,
        Where(uri=uri, database=database),
        format,
        lambda db: commands.backfill_set(db, kind, _LIVE[option], number, seconds=seconds, by=operator()),
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
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise usage_fault(f"{option} has to be a positive number, not {value!r}", "docstore backfill set --help")
    return number
