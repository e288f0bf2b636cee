"""
`docstore views sync|drop|list`: parse, call, render.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from docstore import commands
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.running import run, usage_fault, workplace
from docstore.commands import ViewReport

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Read-only views of one version each, for programs that do not use docstore.",
)

_SYNC_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore views sync city\n\n  docstore views sync city --versions 4,5\n\n"
    "[dim]Exit codes: 0 done, 3 a step that rows need cannot run on the server, or the name of a view is taken.[/]"
)
_DROP_EXAMPLE: Final = "[bold]Examples[/]\n\n  docstore views drop city\n\n  docstore views drop city --versions 4"
_LIST_EXAMPLE: Final = "[bold]Examples[/]\n\n  docstore views list\n\n  docstore views list city --format json"

KindArgument: TypeAlias = Annotated[str, typer.Argument(metavar="KIND", help="Whose views.", show_default=False)]


@app.command(name="sync", epilog=_SYNC_EXAMPLE)
def sync(
    context: typer.Context,
    kind: KindArgument,
    *,
    versions: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Versions whose readers docstore cannot see. Views of others are dropped, but for latest and for "
            "readers that are found. Without it, those that were named before stay.",
            show_default=False,
        ),
    ] = None,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    Make and mend the views COLLECTION_vN of KIND: one for latest, one for each version that still has readers.

    Found are versions that clients asked for within 30 days, that live nodes of older releases end at, and that readers
    declared by `docstore fleet declare` read. May be repeated. Views of versions below the floor, and
    those of readers that were found and are gone, are dropped. What docstore did not make is never touched.
    """
    numbers = _numbers(versions)
    where = Where(uri=uri, database=database, upgraders=upgraders)

    async def work() -> ExitCode:
        async with workplace(context, where, kind=kind) as place:
            reports = await commands.views_sync(place.database, place.kind(kind), versions=numbers)
        return _show(reports, format)

    run(work())


@app.command(name="drop", epilog=_DROP_EXAMPLE)
def drop(
    context: typer.Context,
    kind: KindArgument,
    *,
    versions: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Which; all up to latest by default.", show_default=False),
    ] = None,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    Drop the views that docstore has made of KIND. The rows are not touched.
    """
    numbers = _numbers(versions)
    where = Where(uri=uri, database=database, upgraders=upgraders)

    async def work() -> ExitCode:
        async with workplace(context, where, kind=kind) as place:
            reports = await commands.views_drop(place.database, place.kind(kind), versions=numbers)
        return _show(reports, format)

    run(work())


@app.command(name="list", epilog=_LIST_EXAMPLE)
def show(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="Whose views; those of all kinds by default.", show_default=False),
    ] = None,
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    List the views, and whether they are made of the steps that the code has now. Reads only.
    """
    where = Where(uri=uri, database=database, upgraders=upgraders)

    async def work() -> ExitCode:
        async with workplace(context, where, kind=kind) as place:
            kinds = list(place.kinds.values()) if kind is None else [place.kind(kind)]
            reports = await commands.views_list(place.database, kinds)
        return _show(reports, format)

    run(work())


def _numbers(versions: str | None) -> list[int] | None:
    if versions is None:
        return None
    parts = [part.strip() for part in versions.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise usage_fault("--versions takes version numbers with commas between them", "--versions 4,5")
    return [int(part) for part in parts]


def _show(reports: Sequence[ViewReport], format: Format) -> ExitCode:
    if format is Format.JSON:
        typer.echo(json.dumps([report.model_dump(mode="json") for report in reports]))
        return ExitCode.DONE
    if not reports:
        typer.echo("no views")
        return ExitCode.DONE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("kind", "view", "version", "state", "for"):
        table.add_column(column, justify="right" if column == "version" else "left")
    for report in reports:
        state = report.state if report.reason is None else f"{report.state}: {report.reason}"
        table.add_row(report.kind, report.view, str(report.version), state, ", ".join(report.readers))
    Console(highlight=False).print(table)
    return ExitCode.DONE
