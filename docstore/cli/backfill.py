"""`docstore backfill`: parse, run, render."""

import json
from typing import Annotated, Final

import typer
from rich.console import Console

from docstore import commands
from docstore.backfill.progress import BackfillResult
from docstore.backfill.validation import Validate
from docstore.cli import runs
from docstore.cli.backfill_progress import shown_progress
from docstore.cli.backfill_summary import backfill_summary
from docstore.cli.complaints import complain
from docstore.cli.dry_run import dry_run as tried
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.run_table import runs_table
from docstore.cli.running import run, usage_fault, workplace
from docstore.cli.runs import operator
from docstore.cli.signals import stopped_by_signals
from docstore.core.batch_size import TARGET_SECONDS
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

# Paragraphs are single lines, which typer wraps to the terminal.
_START_HELP: Final = (
    "Bring every row of KIND below a schema version up to it.\n\n"
    "Asks for a run, which `docstore worker` processes take up; with --wait this process works on it too.\n\n"
    "Others may read and write all the time: a rewrite takes effect only if the row is still what it was computed "
    "from. Steps made of operations run inside the server, all others in Python. Rows that cannot be upgraded stay as "
    "they are, with a record each in docstore_quarantine.\n\n"
    "Ctrl-C finishes the batches in flight and stops; the same command goes on where it stopped."
)
_START_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore backfill start city --wait\n\n"
    "  docstore backfill start city --rate 2000\n\n"
    "  docstore backfill start city --dry-run --sample 1000\n\n"
    "  docstore backfill start city --to 4 --wait --format json\n\n"
    "[dim]Exit codes: 0 every row is there (without --wait: asked for; with --dry-run: every row would get there), "
    "1 rows are left (in quarantine, or the run was interrupted), 3 refused: every row stands above --to, or another "
    "run of KIND is open.[/]"
)


@app.callback()
def backfill() -> None:
    """Rewrite old rows at a newer version, while others read and write them."""


@app.command(help=_START_HELP, epilog=_START_EXAMPLE)
def start(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Whose rows to rewrite.", show_default=False)],
    *,
    to: Annotated[
        int | None,
        typer.Option(
            metavar="VERSION",
            help="The schema version to bring rows to; the latest by default. Rows above it are left alone.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Work on it in this process too, and return when it is done; no worker is needed."),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="ROWS",
            min=0.001,
            help="Rows per second, of all workers together; no bound by default.",
            show_default=False,
        ),
    ] = None,
    batch_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0.01, help="How long a batch should take; 0.5 by default.", show_default=False
        ),
    ] = None,
    workers_max: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="How many workers may share the run; any number by default.", show_default=False
        ),
    ] = None,
    record_error_text: Annotated[
        bool,
        typer.Option(
            "--record-error-text",
            help="Keep what a step or the model said about a row in its quarantine record. It can hold values of "
            "the row.",
        ),
    ] = False,
    validate: Annotated[
        Validate | None,
        typer.Option(
            help="Which rows have to fit the model; by default all that are upgraded in Python, and a sample of those "
            "that the server rewrites. With all, every row is upgraded in Python.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write nothing: try some real rows in memory and show what would become of them, with [bold]all "
            "values[/] of up to three rows, before and after.",
        ),
    ] = False,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=0, help="With --dry-run: try N random rows besides.")
    ] = 0,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """See `_START_HELP`."""
    where = Where(uri=uri, database=database, upgraders=upgraders)
    if dry_run:
        checks = validate is not Validate.NONE
        run(tried(context, where, kind, to=to, sample=sample, validate=checks, format=format))
    if sample:
        raise usage_fault("--sample needs --dry-run", f"docstore backfill start {kind} --dry-run --sample {sample}")
    options = RunOptions(
        rate=rate,
        batch_seconds=TARGET_SECONDS if batch_seconds is None else batch_seconds,
        workers_max=workers_max,
        record_error_text=record_error_text,
        validate=None if validate is None else validate.value,
    )
    start = _work_on if wait else _enqueue
    run(start(context, where, kind, to=to, options=options, format=format))


async def _enqueue(
    context: typer.Context, where: Where, kind: str, *, to: int | None, options: RunOptions, format: Format
) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        status = await commands.backfill_start(place.database, place.kind(kind), to=to, options=options, by=operator())
    if format is Format.JSON:
        typer.echo(json.dumps([status.model_dump(mode="json")]))
    else:
        Console(highlight=False).print(runs_table([status]))
    return ExitCode.DONE


async def _work_on(
    context: typer.Context, where: Where, kind: str, *, to: int | None, options: RunOptions, format: Format
) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        with stopped_by_signals() as stop, shown_progress(kind) as on_progress:
            result = await commands.backfill(
                place.database,
                place.kind(kind),
                to=to,
                options=options,
                by=operator(),
                on_progress=on_progress,
                stop=stop,
            )
    if format is Format.JSON:
        typer.echo(json.dumps({**result.model_dump(mode="json"), "complete": result.complete}))
    else:
        Console(highlight=False).print(backfill_summary(result))
    return _verdict(result)


def _verdict(result: BackfillResult) -> ExitCode:
    if result.complete:
        return ExitCode.DONE
    again = f"docstore backfill start {result.kind} --to {result.target} --wait"
    rows = "1 row is" if result.remaining == 1 else f"{result.remaining:,} rows are"
    if result.state is RunState.FAILED:
        complain(f"the run failed: {result.reason}", f"mend that, then: docstore backfill resume {result.kind}")
    elif result.state in {RunState.PAUSED, RunState.PAUSING, RunState.CANCELLING, RunState.CANCELLED}:
        complain(f"the run was {result.state} by an operator: {rows} still below version {result.target}")
    elif result.interrupted:
        complain(f"interrupted: {rows} still below version {result.target}", f"{again} goes on")
    elif result.quarantined >= result.remaining:
        complain(
            f"{rows} still below version {result.target}, in quarantine",
            f"docstore quarantine list {result.kind} says why; mend the rows or the steps, then: {again}",
        )
    else:
        complain(result.reason, f"{again} tries again")
    return ExitCode.FAILED


for _name, _verb in (
    ("status", runs.status),
    ("pause", runs.pause),
    ("resume", runs.resume),
    ("cancel", runs.cancel),
    ("wait", runs.wait),
    ("set", runs.set_option),
):
    app.command(name=_name)(_verb)
