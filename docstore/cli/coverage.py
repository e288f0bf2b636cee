"""`docstore coverage`: parse, count, render."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from docstore import commands
from docstore.cli.complaints import complain, note
from docstore.cli.coverage_formats import CoverageFormat, CoverageFormatOption
from docstore.cli.coverage_table import coverage_table, index_advice
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Upgraders, Uri, Where
from docstore.cli.output_file import write_whole
from docstore.cli.running import Workplace, run, usage_fault, workplace
from docstore.commands import CoverageResult
from docstore.core.kind import Kind

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
    "  docstore coverage --format html --output coverage.html\n\n"
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
    format: CoverageFormatOption = CoverageFormat.TABLE,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Write the HTML page to FILE instead of stdout. Where anything fails, an older FILE stays as it was.",
            show_default=False,
        ),
    ] = None,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `HELP`.
    """
    if require is not None and kind is None:
        raise usage_fault("--require needs a KIND", "docstore coverage KIND --require VERSION")
    if output is not None and format is not CoverageFormat.HTML:
        raise usage_fault("--output is for the HTML page", "docstore coverage --format html --output FILE")
    where = Where(uri=uri, database=database, upgraders=upgraders)
    run(_coverage(context, where, kind, require=require, create_index=create_index, format=format, output=output))


async def _coverage(
    context: typer.Context,
    where: Where,
    kind: str | None,
    *,
    require: int | None,
    create_index: bool,
    format: CoverageFormat,
    output: Path | None,
) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        kinds = list(place.kinds.values()) if kind is None else [place.kind(kind)]
        results = await commands.coverage(
            place.database, kinds, require=require, create_index=create_index, on_index_build=_say_building
        )
        page = await _page(place, kinds, results) if format is CoverageFormat.HTML else ""
    if format is CoverageFormat.JSON:
        typer.echo(json.dumps([result.report.model_dump(mode="json") for result in results]))
    elif output is not None:
        try:
            write_whole(output, page)
        except OSError as error:
            complain(f"{output} cannot be written: {error.strerror}", "name a file in a folder that is there")
            return ExitCode.FAILED
    elif format is CoverageFormat.HTML:
        typer.echo(page, nl=False)
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


async def _page(place: Workplace, kinds: Sequence[Kind[Any]], results: Sequence[CoverageResult]) -> str:
    # Nobody else waits for the template engine.
    from docstore.cli.html_report import html_page  # noqa: PLC0415

    return html_page(await commands.database_report(place.database, kinds, results, at=commands.utc_now()))


def _say_building(kind: str) -> None:
    note(f"building the (tag, _id) index of {kind}; on a large collection this takes a while ...")
