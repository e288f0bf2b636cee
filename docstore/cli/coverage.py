"""`docstore coverage`: parse, count, render."""

import json
from typing import Annotated, Final

import typer
from rich.console import Console

from docstore import commands
from docstore.cli.complaints import complain, note
from docstore.cli.coverage_table import coverage_table, index_advice
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.running import run, usage_fault, workplace

#: Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Count the rows of every schema version, exactly.\n\n"
    "All counts of a kind are of one and the same moment (on a replica set), and none of what they tell can be "
    "rolled back. Nothing is written, unless --create-index is given."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore coverage\n\n"
    "  docstore coverage city --require 4\n\n"
    "  docstore coverage --format json | jq '.\\[].coverage'\n\n"
    "[dim]Exit codes: 0 counted, 3 rows stand below the version of --require.[/]"
)


def coverage(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="The kind to count; all of them by default.", show_default=False),
    ] = None,
    *,
    require: Annotated[
        int | None,
        typer.Option(
            metavar="VERSION",
            help="Leave with exit code 3 if rows of KIND stand below this schema version.",
            show_default=False,
        ),
    ] = None,
    create_index: Annotated[
        bool,
        typer.Option(
            "--create-index",
            help="Build the (tag, _id) index where it is missing, then count. It makes counting read the index "
            "alone, and a backfill needs it. Building reads every row once; others go on meanwhile.",
        ),
    ] = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `HELP`.
    """
    if require is not None and kind is None:
        raise usage_fault("--require needs a KIND", "docstore coverage KIND --require VERSION")
    where = Where(uri=uri, database=database, upgraders=upgraders)
    run(_coverage(context, where, kind, require=require, create_index=create_index, format=format))


async def _coverage(
    context: typer.Context,
    where: Where,
    kind: str | None,
    *,
    require: int | None,
    create_index: bool,
    format: Format,
) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        kinds = list(place.kinds.values()) if kind is None else [place.kind(kind)]
        results = await commands.coverage(
            place.database, kinds, require=require, create_index=create_index, on_index_build=_say_building
        )
    if format is Format.JSON:
        typer.echo(json.dumps([result.report.model_dump(mode="json") for result in results]))
    else:
        console = Console(highlight=False)
        for result in results:
            console.print(coverage_table(result.report))
    for result in results:
        advice = index_advice(result)
        if advice is not None:
            note(advice)
    for result in results:
        if result.below_required:
            rows = "1 row stands" if result.below_required == 1 else f"{result.below_required:,} rows stand"
            complain(
                f"{rows} below version {require} of {result.report.kind}",
                f"docstore backfill start {result.report.kind} --wait",
            )
            return ExitCode.REFUSED
    return ExitCode.DONE


def _say_building(kind: str) -> None:
    note(f"building the (tag, _id) index of {kind}; on a large collection this takes a while ...")
