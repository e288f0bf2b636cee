"""`docstore coverage`: parse, count, render."""

from pathlib import Path
from typing import Annotated, Final

import typer

from docstore.cli.complaints import complain, note
from docstore.cli.coverage_formats import CoverageFormat, CoverageFormatOption
from docstore.cli.coverage_output import html_text, write, written_text
from docstore.cli.coverage_table import index_advice
from docstore.cli.coverage_watch import watch_coverage
from docstore.cli.coverage_wish import Results, Wish
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Upgraders, Uri, Where
from docstore.cli.output_file import write_whole
from docstore.cli.running import run, usage_fault, workplace

#: Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Count the rows of every schema version, exactly, and say what is in the way of retiring the older ones.\n\n"
    "All counts of a kind are of one and the same moment (on a replica set), and none of what they tell can be "
    "rolled back. No row is written. The counts are kept in docstore_coverage, at most one a minute: for the history, "
    "and because a retirement asks how long no row has stood below its version."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore coverage\n\n"
    "  docstore coverage city --require 4 --majority\n\n"
    "  docstore coverage city --remaining --watch\n\n"
    "  docstore coverage --format json | jq '.\\[].coverage'\n\n"
    "  docstore coverage --format prometheus --output /var/lib/node_exporter/docstore.prom\n\n"
    "  docstore coverage --format html --output coverage.html\n\n"
    "[dim]Exit codes: 0 counted, 3 rows stand below the version of --require, or --majority could not be kept.[/]"
)

#: What is written for a file.
_FILES: Final = frozenset({CoverageFormat.HTML, CoverageFormat.PROMETHEUS})


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
    remaining: Annotated[
        bool,
        typer.Option(
            "--remaining",
            help="Count only what stands below latest: with the index that costs as much as there is left.",
        ),
    ] = False,
    majority: Annotated[
        bool,
        typer.Option(
            "--majority",
            help="Wait first until a majority of the members has every write that was made before, so that none is "
            "missed that was made with a lower write concern; and leave with exit code 3 where the counts are not of "
            "one moment.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Count again and again until Ctrl-C, a tenth of the time at most."),
    ] = False,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Keep the counts, for the history and for retirements.")
    ] = True,
    create_index: Annotated[
        bool,
        typer.Option(
            "--create-index",
            help="Build the indexes on the tag where one is missing, then count: on (tag, _id), and a small one on "
            "tags that are no integers. Counting reads the index alone then, and a backfill needs it. Building reads "
            "every row once; others go on meanwhile.",
        ),
    ] = False,
    format: CoverageFormatOption = CoverageFormat.TABLE,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Write the HTML page, or what Prometheus reads, to FILE instead of stdout. Where anything fails, an "
            "older FILE stays as it was.",
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
    if watch and require is not None:
        raise usage_fault("--watch never ends, and --require decides how it ends", "leave one of them out")
    if watch and format in _FILES:
        raise usage_fault("--watch shows people or programs one report after another", "--format table or json")
    if remaining and format is CoverageFormat.HTML:
        raise usage_fault("the HTML page shows all rows", "leave out --remaining, or take another format")
    if output is not None and format not in _FILES:
        raise usage_fault("--output is for the HTML page", "docstore coverage --format html --output FILE")
    where = Where(uri=uri, database=database, upgraders=upgraders)
    wish = Wish(kind, require, remaining=remaining, majority=majority, record=record, create_index=create_index)
    run(_watch(context, where, wish, format) if watch else _coverage(context, where, wish, format, output))


async def _coverage(
    context: typer.Context, where: Where, wish: Wish, format: CoverageFormat, output: Path | None
) -> ExitCode:
    async with workplace(context, where, kind=wish.kind) as place:
        results = await wish.counted(place)
        text = written_text(results, format)
        if format is CoverageFormat.HTML:
            text = await html_text(place, wish.kinds(place), results)
    if output is None:
        write(results, text)
    else:
        try:
            write_whole(output, text or "")
        except OSError as error:
            complain(f"{output} cannot be written: {error.strerror}", "name a file in a folder that is there")
            return ExitCode.FAILED
    for result in results:
        advice = index_advice(result)
        if advice is not None:
            note(advice)
        if wish.record and not result.recorded:
            note(f"the counts of {result.report.kind} could not be kept in docstore_coverage")
    return _verdict(results, wish)


async def _watch(context: typer.Context, where: Where, wish: Wish, format: CoverageFormat) -> ExitCode:
    async with workplace(context, where, kind=wish.kind) as place:
        await watch_coverage(place, wish, format)
    return ExitCode.DONE


def _verdict(results: Results, wish: Wish) -> ExitCode:
    for result in results:
        kind = result.report.kind
        if wish.majority and not result.report.exact:
            complain(f"the rows of {kind} could not be counted at one moment", "a replica set is needed for that")
            return ExitCode.REFUSED
        if result.below_required:
            rows = "1 row stands" if result.below_required == 1 else f"{result.below_required:,} rows stand"
            complain(f"{rows} below version {wish.require} of {kind}", f"docstore backfill start {kind} --wait")
            return ExitCode.REFUSED
    return ExitCode.DONE
