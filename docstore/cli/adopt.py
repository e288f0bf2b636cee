"""
`docstore adopt`: parse, tag, render.
"""

from typing import Annotated, Final

import typer

from docstore import commands
from docstore.cli.complaints import complain
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.running import run, workplace
from docstore.cli.signals import stopped_by_signals

#: Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Tag every row of KIND that has no tag.\n\n"
    "A row gets the kind's baseline, or what its detect function says. Nothing but the tag is written. Rows whose "
    "version detect cannot tell stay as they are, with a record each in docstore_quarantine.\n\n"
    "Ctrl-C finishes the batch in flight and stops; the same command goes on where it stopped."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore adopt city\n\n[dim]Exit codes: 0 every row has a tag, 1 rows without a tag are "
    "left.[/]"
)


def adopt(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Whose rows to tag.", show_default=False)],
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `HELP`.
    """
    run(_adopt(context, Where(uri=uri, database=database, upgraders=upgraders), kind, format=format))


async def _adopt(context: typer.Context, where: Where, kind: str, *, format: Format) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        with stopped_by_signals() as stop:
            result = await commands.adopt(place.database, place.kind(kind), stop=stop)
    if format is Format.JSON:
        typer.echo(result.model_dump_json())
    else:
        typer.echo(f"{result.kind}: {result.tagged:,} rows tagged")
    if not result.remaining:
        return ExitCode.DONE
    complain(
        f"{result.remaining:,} rows have no tag, {result.quarantined:,} of them in quarantine",
        f"docstore quarantine list {kind} says why; the same command goes on",
    )
    return ExitCode.FAILED
