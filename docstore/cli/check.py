"""`docstore check`: parse, look, render."""

from typing import Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from typer.core import TyperCommand

from docstore import commands
from docstore.cli.complaints import complain
from docstore.cli.exits import ExitCode
from docstore.cli.options import Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.running import kinds_alone, run, workplace
from docstore.cli.ways_out import ways_out
from docstore.commands import CheckReport
from docstore.core.blocker import Cause

# Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Say before a deploy whether the kinds and their steps are sound and, with --database, whether they fit it.\n\n"
    "A store of this code does not open on rows below its floor, on a lower recorded floor, or on rows where none is "
    "recorded: --database says so without opening one. It also says what was done behind the back of a recorded floor "
    "(rows restored, the collection dropped or renamed over, the fence gone or changed), and that the database is a "
    "restored backup.\n\n"
    "Reads only. --database takes the name that DOCSTORE_DATABASE or the URI gives where none is typed."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore check\n\n  docstore check --database\n\n"
    "  docstore check --database shop --format json | jq '.kinds\\[].refused'\n\n"
    "[dim]Exit codes: 0 nothing is wrong, 3 the code does not fit the database or something was done to it, 4 the "
    "kinds or their steps are wrong.[/]"
)

#: Stands for a database that was asked for without its name.
_UNNAMED: Final = "--look"


class Command(TyperCommand):
    """
    Takes `--database` with or without a name.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """
        Parse the arguments.
        """
        parsed: list[str] = []
        for place, argument in enumerate(args):
            bare = argument == "--database" and (place + 1 == len(args) or args[place + 1].startswith("-"))
            parsed.append(_UNNAMED if bare else argument)
        return super().parse_args(ctx, parsed)


def check(
    context: typer.Context,
    *,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="[NAME]",
            help="Look at the database, too: at this one, or at the one that DOCSTORE_DATABASE or the URI names.",
            show_default=False,
        ),
    ] = None,
    look: Annotated[bool, typer.Option(_UNNAMED, hidden=True)] = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `HELP`.
    """
    where = Where(uri=uri, database=database, upgraders=upgraders)

    async def work() -> ExitCode:
        if look or where.or_else(context.obj).database is not None:
            async with workplace(context, where) as place:
                report = await commands.check(place.kinds.values(), place.database)
        else:
            report = await commands.check(kinds_alone(context, where).values())
        _show(report, format)
        return ExitCode.DONE if report.sound else ExitCode.REFUSED

    run(work())


def _show(report: CheckReport, format: Format) -> None:
    if format is Format.JSON:
        typer.echo(report.model_dump_json())
    else:
        Console(highlight=False).print(_table(report))
    if report.restored:
        words = f"{report.database} was restored from a backup, or copied, and nobody has worked with it since"
        complain(words, ways_out([{"cause": Cause.RESTORED, "kind": "", "facts": {}}]))
    for kind in report.kinds:
        for finding in (*kind.refused, *kind.bypassed):
            complain(finding.words, ways_out([finding.model_dump()]))


def _table(report: CheckReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    looked = report.database is not None
    for title in ("kind", "collection", "versions", *(("recorded floor", "verdict") if looked else ())):
        table.add_column(title)
    for kind in report.kinds:
        versions = str(kind.latest) if kind.floor == kind.latest else f"{kind.floor} to {kind.latest}"
        recorded = "none" if kind.recorded is None else str(kind.recorded)
        if kind.recorded is not None and not kind.proved:
            recorded += " (unproved)"
        verdict = "would not open" if kind.refused else "bypassed" if kind.bypassed else "fits"
        table.add_row(kind.kind, kind.collection, versions, *((recorded, verdict) if looked else ()))
    return table
