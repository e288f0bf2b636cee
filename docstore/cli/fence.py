"""
`docstore fence show|apply|remove`: parse, call, render.
"""

import json
from typing import Annotated, Final, TypeAlias

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from docstore import commands
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.running import run, workplace
from docstore.cli.runs import operator
from docstore.commands import FenceLimits, FenceReport
from docstore.core.extended_json import to_text
from docstore.core.fence_level import FenceLevel

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Have the server itself refuse rows of versions that nobody may store, from any program.",
)

_SHOW_EXAMPLE: Final = "[bold]Examples[/]\n\n  docstore fence show city\n\n  docstore fence show city --format json"
_APPLY_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore fence apply city\n\n  docstore fence apply city --moderate\n\n"
    "[dim]Exit codes: 0 done, 3 refused: it cannot stand beside the collection's own rules, open transactions did not "
    "end in time, a retirement is under way, or this user may not do it.[/]"
)
_REMOVE_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore fence remove city\n\n"
    "[dim]Exit codes: 0 done, 3 refused: see docstore fence apply.[/]"
)
_DEFAULT_WAIT: Final = 5.0

KindArgument: TypeAlias = Annotated[str, typer.Argument(metavar="KIND", help="Whose fence.", show_default=False)]
Wait: TypeAlias = Annotated[
    float,
    typer.Option(
        "--max-wait",
        metavar="SECONDS",
        min=0.001,
        help="How long to wait for transactions that are open on the collection. All other calls wait meanwhile.",
    ),
]


@app.command(name="show", epilog=_SHOW_EXAMPLE)
def show(
    context: typer.Context,
    kind: KindArgument,
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    Show the fence of KIND: what is there, what was recorded, what it would be now, and the rows outside it. Reads only.
    """
    where = Where(uri=uri, database=database, upgraders=upgraders)

    async def work() -> ExitCode:
        async with workplace(context, where, kind=kind) as place:
            return _show(await commands.fence_show(place.database, place.kind(kind)), format)

    run(work())


@app.command(name="apply", epilog=_APPLY_EXAMPLE)
def apply(
    context: typer.Context,
    kind: KindArgument,
    *,
    moderate: Annotated[
        bool,
        typer.Option(
            "--moderate", help="Let rows that are outside be changed as they are, whatever own rules they are freed of."
        ),
    ] = False,
    max_wait: Wait = _DEFAULT_WAIT,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    Have the server refuse rows of KIND below its floor and above what may be written. May be repeated.

    The lowest version is the floor that was recorded by a retirement, else the first that rows ever had; the highest is
    the one that nodes store. Rollouts raise it before they begin, and lower it when a rollback is over. The rules that
    the collection has of its own stay. While rows are outside the fence it is moderate: those can be changed as they
    are, and no new ones come.
    """
    where = Where(uri=uri, database=database, upgraders=upgraders)

    async def work() -> ExitCode:
        async with workplace(context, where, kind=kind) as place:
            level = FenceLevel.MODERATE if moderate else None
            report = await commands.fence_apply(
                place.database, place.kind(kind), by=operator(), level=level, max_time_ms=round(max_wait * 1000)
            )
            return _show(report, format)

    run(work())


@app.command(name="remove", epilog=_REMOVE_EXAMPLE)
def remove(
    context: typer.Context,
    kind: KindArgument,
    *,
    max_wait: Wait = _DEFAULT_WAIT,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    Take the fence of KIND away; the rules that the collection has of its own stay. May be repeated.

    A floor that was recorded stays, and is reported as unproved from then on.
    """
    where = Where(uri=uri, database=database, upgraders=upgraders)

    async def work() -> ExitCode:
        async with workplace(context, where, kind=kind) as place:
            report = await commands.fence_remove(
                place.database, place.kind(kind), by=operator(), max_time_ms=round(max_wait * 1000)
            )
            return _show(report, format)

    run(work())


def _show(report: FenceReport, format: Format) -> ExitCode:
    if format is Format.JSON:
        typer.echo(json.dumps(report.model_dump(mode="json")))
        return ExitCode.DONE
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "versions", "level"):
        table.add_column(column)
    for name, limits in (("found", report.found), ("recorded", report.recorded), ("now", report.wanted)):
        table.add_row(name, *_cells(limits))
    console.print(f"{report.kind} ({report.collection}.{report.field}): {report.state.value}", markup=False)
    console.print(table)
    for tags in report.outside:
        at = tags.type if tags.value is None else f"{tags.type} {tags.value:g}"
        console.print(f"outside: {tags.rows:,} rows, tag {at}", markup=False)
    if report.own_validator is not None:
        console.print(f"own rules: {to_text(report.own_validator)}", markup=False)
    for remark in report.remarks:
        console.print(remark, markup=False)
    return ExitCode.DONE


def _cells(limits: FenceLimits | None) -> tuple[str, str]:
    return ("none", "") if limits is None else (f"{limits.low} to {limits.high}", limits.level or "")
