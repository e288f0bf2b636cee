"""
`docstore fleet` and its verbs: parse, ask, render.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer

from docstore import commands
from docstore.cli.exits import ExitCode
from docstore.cli.fleet_table import show_fleet
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.running import opened, run, workplace
from docstore.cli.runs import operator
from docstore.fleet.status import FleetStatus
from docstore.mongo.driver import AnyDatabase

# Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Show who works with the database: every node, what it reads and writes, and readers declared by hand.\n\n"
    "Nodes that vanished without closing are shown for an hour. Whether a node is alive is decided by the server's "
    "clock. Reads only."
)
DECLARE_HELP: Final = (
    "Record that SERVICE reads rows of KIND by itself: another language, a nightly job, a service without docstore.\n\n"
    "It blocks like a node: nothing is stored that it cannot read. What was declared of the same service and kind "
    "before is replaced."
)
FORGET_HELP: Final = "Forget what was declared of SERVICE: for KIND, or for all kinds."
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore fleet\n\n"
    "  docstore fleet --format json | jq '.nodes\\[] | select(.life == \"dead\")'\n\n"
    "  docstore fleet declare nightly-export city --reads 3..4"
)
DECLARE_EXAMPLE: Final = (
    "[bold]Example[/]\n\n  docstore fleet declare nightly-export city --reads 3..4\n\n"
    "[dim]Exit codes: 0 declared, 3 it does not read what is stored.[/]"
)
FORGET_EXAMPLE: Final = (
    "[bold]Example[/]\n\n  docstore fleet forget nightly-export\n\n"
    "[dim]Exit codes: 0 forgotten, 2 nothing was declared of it.[/]"
)

app = typer.Typer(help=HELP, epilog=EXAMPLE, invoke_without_command=True, rich_markup_mode="rich")

_RANGE: Final = re.compile(r"(?P<low>[1-9]\d*)(?:\.\.(?P<high>[1-9]\d*))?")


@app.callback()
def fleet(
    context: typer.Context,
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `HELP`.
    """
    where = Where(uri=uri, database=database).or_else(context.obj)
    if context.invoked_subcommand is None:
        run(_show(context, where, format, commands.fleet))
    # What was typed before the verb holds for it, too.
    context.obj = where


@app.command(name="declare", help=DECLARE_HELP, epilog=DECLARE_EXAMPLE)
def declare(
    context: typer.Context,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="What the reader calls itself.")],
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The kind whose rows it reads.")],
    *,
    reads: Annotated[str, typer.Option("--reads", metavar="A..B", help="The versions that it reads, 3..4 or 3.")],
    writes: Annotated[
        int | None,
        typer.Option(
            "--writes",
            metavar="VERSION",
            min=1,
            help="The lowest version that it stores, if it writes rows too. What is below cannot be retired before it "
            "is declared anew.",
            show_default=False,
        ),
    ] = None,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `DECLARE_HELP`.
    """
    low, high = _versions(reads)
    where = Where(uri=uri, database=database, upgraders=upgraders)
    run(_declare(context, where, service, kind, low=low, high=high, writes=writes, format=format))


async def _declare(
    context: typer.Context,
    where: Where,
    service: str,
    kind: str,
    *,
    low: int,
    high: int,
    writes: int | None,
    format: Format,
) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        status = await commands.fleet_declare(
            place.database, service, place.kind(kind), low=low, high=high, writes=writes, by=operator()
        )
        show_fleet(status, format)
    return ExitCode.DONE


@app.command(name="forget", help=FORGET_HELP, epilog=FORGET_EXAMPLE)
def forget(
    context: typer.Context,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="What was declared.")],
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="For which kind; all by default.", show_default=False)
    ] = None,
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `FORGET_HELP`.
    """
    where = Where(uri=uri, database=database)
    run(_show(context, where, format, lambda db: commands.fleet_forget(db, service, kind, by=operator())))


async def _show(
    context: typer.Context, where: Where, format: Format, ask: Callable[[AnyDatabase], Awaitable[FleetStatus]]
) -> ExitCode:
    async with opened(context, where) as database:
        show_fleet(await ask(database), format)
    return ExitCode.DONE


def _versions(text: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(text.strip())
    low = int(found["low"]) if found else 0
    high = int(found["high"] or low) if found else 0
    if not 0 < low <= high:
        msg = f"{text!r} names no versions; write 3..4, or 3"
        raise typer.BadParameter(msg)
    return low, high
