"""
`docstore adopt`: parse, tag, render.
"""

import json
from typing import Annotated, Final

import typer
from rich.console import Console

from docstore import commands
from docstore.cli.backfill_progress import shown_progress
from docstore.cli.complaints import complain
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.run_table import runs_table
from docstore.cli.running import run, workplace
from docstore.cli.runs import operator
from docstore.cli.signals import stopped_by_signals
from docstore.core.run_state import RunState

#: Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Tag every row of KIND that has no tag, in this process; workers that are there help.\n\n"
    "A row gets the kind's baseline, or what its detect function says. Nothing but the tag is written. Rows whose "
    "version detect cannot tell stay as they are, with a record each in docstore_quarantine.\n\n"
    "It is a run like those of the backfill: docstore backfill status, pause, resume, cancel and wait apply to it. "
    "Ctrl-C finishes the batches in flight and stops; the same command goes on where it stopped."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore adopt city\n\n  docstore adopt city --no-wait\n\n"
    "[dim]Exit codes: 0 every row has a tag (with --no-wait: asked for), 1 rows without a tag are left, 3 refused: "
    "another run of KIND is open.[/]"
)


def adopt(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Whose rows to tag.", show_default=False)],
    *,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--no-wait", help="Work on it in this process, and return when it is done; or leave it to workers."
        ),
    ] = True,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `HELP`.
    """
    verb = _adopt if wait else _enqueue
    run(verb(context, Where(uri=uri, database=database, upgraders=upgraders), kind, format=format))


async def _enqueue(context: typer.Context, where: Where, kind: str, *, format: Format) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        status = await commands.adopt_start(place.database, place.kind(kind), by=operator())
    if format is Format.JSON:
        typer.echo(json.dumps([status.model_dump(mode="json")]))
    else:
        Console(highlight=False).print(runs_table([status]))
    return ExitCode.DONE


async def _adopt(context: typer.Context, where: Where, kind: str, *, format: Format) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        with stopped_by_signals() as stop, shown_progress(kind) as on_progress:
            result = await commands.adopt(
                place.database, place.kind(kind), by=operator(), on_progress=on_progress, stop=stop
            )
    if format is Format.JSON:
        typer.echo(result.model_dump_json())
    else:
        typer.echo(f"{result.kind}: {result.tagged:,} rows tagged")
    if not result.remaining:
        return ExitCode.DONE
    if result.state is RunState.FAILED:
        complain(f"the run failed: {result.reason}", f"mend that, then: docstore backfill resume {kind}")
    elif result.state is not RunState.SUCCEEDED:
        complain(
            f"the run is {result.state}: {result.remaining:,} rows have no tag yet",
            f"docstore backfill status {kind} says why; the same command goes on",
        )
    else:
        complain(*left_without_tag(kind, result.remaining, result.quarantined))
    return ExitCode.FAILED


def left_without_tag(kind: str, remaining: int, quarantined: int) -> tuple[str, str]:
    """
    Say which rows have no tag after a run that succeeded, and what to do about them.
    """
    others = max(0, remaining - quarantined)
    parts = [f"{quarantined:,} in quarantine"] if quarantined else []
    if others:
        parts.append(f"{others:,} that came since, or that detect puts above what may be stored")
    advice = (
        f"docstore quarantine list {kind} says why; the same command goes on"
        if quarantined
        else "the same command tags those that came since; the others need code that knows their version"
    )
    return f"{remaining:,} rows have no tag: {', '.join(parts)}", advice
