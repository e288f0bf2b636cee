"""
`docstore quarantine`: parse, look or try again, render.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from docstore import commands
from docstore.backfill.quarantined import QuarantinedRow
from docstore.backfill.retrying import RetryResult
from docstore.cli.complaints import complain, note
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.row_words import some_rows
from docstore.cli.running import run, usage_fault, workplace
from docstore.core.extended_json import id_from_text, to_text

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

_LIMIT: Final = 1000
_IDS: Final = (
    "An id is typed as Extended JSON or short: 5 is a number, oslo a text, 24 hex digits an ObjectId, "
    '\'{"$uuid": "..."}\' a UUID; a text that looks like something else stands in quotes: \'"5"\'.'
)
_LIST_HELP: Final = (
    "List the rows of KIND that cannot be upgraded, and why.\n\n"
    "Nothing is written. Rows that are gone or were mended meanwhile are not listed; of those that were mended and not "
    "brought further yet it says on stderr how many there are. No value of a row is shown, unless a backfill was told "
    "to record error texts."
)
_SHOW_HELP: Final = f"Show why one row cannot be upgraded; with --document also the row.\n\n{_IDS}"
_RETRY_HELP: Final = (
    "Try rows in quarantine again, after the upgrader or the row was mended.\n\n"
    "Rows go through Python and are written only if they are still what they were computed from. Those that succeed "
    f"leave quarantine.\n\n{_IDS}"
)
_RETRY_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore quarantine retry city --all\n\n"
    "  docstore quarantine retry city 3143244 65f0c2d4a1b2c3d4e5f60718\n\n"
    "[dim]Exit codes: 0 every row succeeded, 1 rows failed again.[/]"
)

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="Whose rows.", show_default=False)]


@app.callback()
def quarantine() -> None:
    """
    Look at the rows that cannot be upgraded, and try them again.
    """


@app.command(name="list", help=_LIST_HELP)
def list_(
    context: typer.Context,
    kind: KindArgument,
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many rows to list at most.")] = _LIMIT,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `_LIST_HELP`.
    """
    run(_list(context, Where(uri=uri, database=database, upgraders=upgraders), kind, limit=limit, format=format))


async def _list(context: typer.Context, where: Where, kind: str, *, limit: int, format: Format) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        rows = await commands.quarantine_list(place.database, place.kind(kind), limit=limit + 1)
        recorded = 0 if len(rows) > limit else await commands.quarantine_count(place.database, place.kind(kind))
    shown = rows[:limit]
    if format is Format.JSON:
        typer.echo(json.dumps([row.model_dump(mode="json", exclude={"document"}) for row in shown]))
    elif shown:
        Console(highlight=False).print(_table(kind, shown))
    else:
        Console(highlight=False).print(f"no row of {kind} is in quarantine")
    if len(rows) > limit:
        note(f"only the first {limit:,} rows are listed; --limit N lists more")
    elif recorded > len(rows):
        more = f"{recorded - len(rows):,} more were changed since they failed, and would come through now"
        note(f"{more}; docstore coverage counts them until a backfill or docstore quarantine retry {kind} has been")
    return ExitCode.DONE


@app.command(help=_SHOW_HELP)
def show(
    context: typer.Context,
    kind: KindArgument,
    row_id: Annotated[str, typer.Argument(metavar="ID", help="The row.", show_default=False)],
    *,
    document: Annotated[
        bool, typer.Option("--document", help="Also show the stored row, with all its values.")
    ] = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `_SHOW_HELP`.
    """
    where = Where(uri=uri, database=database, upgraders=upgraders)
    run(_show(context, where, kind, row_id, document=document, format=format))


async def _show(
    context: typer.Context, where: Where, kind: str, row_id: str, *, document: bool, format: Format
) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        row = await commands.quarantine_show(place.database, place.kind(kind), id_from_text(row_id), document=document)
    if format is Format.JSON:
        typer.echo(row.model_dump_json(exclude=None if document else {"document"}))
        return ExitCode.DONE
    console = Console(highlight=False)
    facts = Table.grid(padding=(0, 2))
    for name, value in row.model_dump(exclude={"id", "document"}).items():
        if value is not None:
            facts.add_row(Text(name.replace("_", " "), "bold"), Text(str(value)))
    console.print(Text(f"{row.kind} {to_text(row.id)}", "bold"), facts)
    if row.document is not None:
        console.print(Text(to_text(row.document, indent=2)))
    return ExitCode.DONE


@app.command(help=_RETRY_HELP, epilog=_RETRY_EXAMPLE)
def retry(
    context: typer.Context,
    kind: KindArgument,
    row_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Which rows.", show_default=False)
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every row of KIND that is in quarantine.")] = False,
    record_error_text: Annotated[
        bool,
        typer.Option(
            "--record-error-text",
            help="Keep what a step or the model said about a row. It can hold values of the row.",
        ),
    ] = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `_RETRY_HELP`.
    """
    if bool(row_ids) is everything:
        raise usage_fault(
            "name rows by their ids, or all of them with --all", f"docstore quarantine retry {kind} --all"
        )
    where = Where(uri=uri, database=database, upgraders=upgraders)
    run(_retry(context, where, kind, row_ids, record_error_text=record_error_text, format=format))


async def _retry(
    context: typer.Context,
    where: Where,
    kind: str,
    row_ids: Sequence[str] | None,
    *,
    record_error_text: bool,
    format: Format,
) -> ExitCode:
    ids = [id_from_text(text) for text in row_ids] if row_ids else None
    async with workplace(context, where, kind=kind) as place:
        result = await commands.quarantine_retry(
            place.database, place.kind(kind), ids, record_error_text=record_error_text
        )
    if format is Format.JSON:
        typer.echo(result.model_dump_json())
    else:
        Console(highlight=False).print(_summary(result))
    if result.failed:
        complain(f"{some_rows(result.failed)} failed again", f"docstore quarantine list {kind} says why")
    if result.contested:
        complain(f"{some_rows(result.contested)} kept being changed by others", "the same command tries again")
    return ExitCode.FAILED if result.failed or result.contested else ExitCode.DONE


def _summary(result: RetryResult) -> str:
    settled = f", {some_rows(result.settled)} needed nothing any more" if result.settled else ""
    return f"{result.kind}: {result.succeeded:,} of {some_rows(result.tried)} brought to their version{settled}"


def _table(kind: str, rows: Sequence[QuarantinedRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=f"{kind} in quarantine", title_justify="left", pad_edge=False)
    for heading in ("id", "version", "to", "step", "error", "field", "tries", "last seen", "why"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        facts = (
            to_text(row.id),
            _or_dash(row.version),
            str(row.target),
            _or_dash(row.step),
            row.error,
            _or_dash(row.path),
            str(row.tries),
            f"{row.last_seen:%Y-%m-%d %H:%M}",
            row.reason,
        )
        table.add_row(*map(Text, facts))
    return table


def _or_dash(value: int | str | None) -> str:
    return "-" if value is None else str(value)
