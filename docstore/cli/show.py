"""`docstore show`: parse, describe, render."""

import json
from typing import Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from docstore import commands
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.running import kind_alone, run, usage_fault, workplace
from docstore.commands import ShownKind
from docstore.core.extended_json import document_from_text, documents_from_text
from docstore.store.explaining import Explanation

HELP: Final = (
    "Show what a kind is made of: its versions and the steps between them.\n\n"
    "With --query or --pipeline, also how that is answered while old rows are stored: which way is taken, why, for "
    "which versions, and how the server would run it. Nothing is written, and no row is read."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore show city\n\n"
    '  docstore show city --query \'{"country.code": "AT"}\'\n\n'
    '  docstore show city --query \'{"slug": "graz"}\' --sort \'{"population": -1}\' --format json\n\n'
    '  docstore show city --pipeline \'[{"$group": {"_id": "$country.code"}}]\'\n\n'
    "[dim]Exit codes: 0 shown, 3 the query would be refused.[/]"
)


def show(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The kind to show.", show_default=False)],
    *,
    query: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="A filter at the latest shape, as Extended JSON.", show_default=False),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Sort keys, such as '{\"population\": -1}'.", show_default=False),
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="In place of a query: stages of an aggregation, a JSON array.", show_default=False
        ),
    ] = None,
    allow_client_filter: Annotated[
        bool,
        typer.Option("--allow-client-filter", help="As if the query allowed that Python upgrades rows for it."),
    ] = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `HELP`.
    """
    if query is not None and pipeline is not None:
        raise usage_fault("--query and --pipeline exclude each other", "docstore show KIND --query '{}'")
    if query is None and (sort is not None or (allow_client_filter and pipeline is None)):
        raise usage_fault(
            "--sort needs a --query, --allow-client-filter that or a --pipeline", "docstore show KIND --query '{}'"
        )
    where = Where(uri=uri, database=database, upgraders=upgraders)
    asked = None if query is None else _document(query, "--query")
    stages = None if pipeline is None else _stages(pipeline)
    keys = list((_document(sort, "--sort") if sort is not None else {}).items())

    async def work() -> ExitCode:
        if asked is None and stages is None:
            result = await commands.show(kind_alone(context, where, kind=kind))
        else:
            async with workplace(context, where, kind=kind) as place:
                result = await commands.show(
                    place.kind(kind),
                    database=place.database,
                    query=asked,
                    sort=keys,
                    pipeline=stages,
                    kinds=place.kinds.values(),
                    allow_client_filter=allow_client_filter,
                )
        if format is Format.JSON:
            typer.echo(json.dumps(result.model_dump(mode="json")))
        else:
            _print(result)
        return ExitCode.REFUSED if result.query is not None and result.query.ways_out else ExitCode.DONE

    run(work())


def _document(text: str, option: str) -> dict[str, Any]:
    try:
        return document_from_text(text)
    except ValueError as error:
        raise usage_fault(f"{option} takes a document as JSON: {error}", f'{option} \'{{"name": "Graz"}}\'') from error


def _stages(text: str) -> list[dict[str, Any]]:
    example = '--pipeline \'[{"$group": {"_id": "$country"}}]\''
    try:
        stages = documents_from_text(text)
    except ValueError as error:
        raise usage_fault(f"--pipeline takes an array of stages as JSON: {error}", example) from error
    for stage in stages:
        if len(stage) != 1 or not next(iter(stage)).startswith("$"):
            raise usage_fault("--pipeline: each stage has one field, which begins with a dollar", example)
    return stages


def _print(result: ShownKind) -> None:
    console = Console(highlight=False)
    title = f"[bold]{result.kind}[/] in {result.collection}, tagged in {result.version_field}: "
    title += f"floor {result.floor}, latest {result.latest}, untagged rows at {result.baseline}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="", pad_edge=False)
    table.add_column("version", justify="right")
    for column in ("what leads there", "runs", "way back"):
        table.add_column(column)
    table.add_row(str(result.floor), Text("the floor", style="dim"), "", "")
    for step in result.steps:
        what = [step.summary] if step.summary else []
        what += step.operations or [f"functions; write {_writes(step.writes)}"]
        runs = "on the server" if step.runs_on_server else "in Python"
        table.add_row(str(step.version), Text("\n".join(what)), runs, "yes" if step.has_way_back else "no")
    console.print(table)
    if result.query is not None:
        _print_query(console, result.query)


def _writes(paths: tuple[str, ...] | None) -> str:
    return "anything" if paths is None else ", ".join(paths) or "nothing"


def _print_query(console: Console, query: Explanation) -> None:
    console.print(Text(f"the query is answered: {query.way}" if not query.ways_out else "the query is refused"))
    console.print(Text(f"because {query.reason}"))
    if query.absence is not None and query.absence != query.reason:
        console.print(Text(f"which versions are stored was looked up: {query.absence}"))
    if query.paths:
        console.print(Text(f"paths that steps change: {', '.join(query.paths)}"))
    for version in query.versions:
        untagged = " (untagged)" if version.tag is None else ""
        console.print(Text(f"version {version.version}{untagged}: {version.rows:,} rows, {version.way}"))
    if query.client_rows:
        console.print(Text(f"rows that only Python can upgrade: {query.client_rows:,}"))
    if query.access:
        console.print(Text(f"the server uses: {', '.join(query.access)}"))
    for way_out in query.ways_out:
        console.print(Text(f"way out: {way_out}"))
    if query.server_plan is not None:
        console.print(Text(f"plan: {json.dumps(query.server_plan)}", style="dim"), soft_wrap=True)
