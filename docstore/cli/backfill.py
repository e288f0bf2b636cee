"""`docstore backfill`: parse, run, render."""

import json
import math
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console

from docstore import commands
from docstore.backfill.validation import Validate
from docstore.cli import runs, waiting
from docstore.cli.backfill_progress import shown_progress
from docstore.cli.backfill_summary import backfill_summary
from docstore.cli.backfill_verdict import verdict_on
from docstore.cli.dry_run import dry_run as tried
from docstore.cli.exits import ExitCode
from docstore.cli.id_file import Rows
from docstore.cli.id_file import ids_from as read_ids
from docstore.cli.lifting import lifted
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where, Why
from docstore.cli.run_table import show_runs
from docstore.cli.running import run, usage_fault, workplace
from docstore.cli.runs import LEAST_RATE, LEAST_SECONDS, operator
from docstore.cli.signals import stopped_by_signals
from docstore.core.batch_size import TARGET_SECONDS
from docstore.core.direction import Direction
from docstore.core.run_record import RunOptions


class Way(StrEnum):
    """
    Where rows are taken.
    """

    UP = "up"
    DOWN = "down"


app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

# Paragraphs are single lines, which typer wraps to the terminal.
_START_HELP: Final = (
    "Bring every row of KIND below a schema version up to it, or those above it down.\n\n"
    "Asks for a run, which `docstore worker` processes take up; with --wait this process works on it too.\n\n"
    "Others may read and write all the time: a rewrite takes effect only if the row is still what it was computed "
    "from. Steps made of operations run inside the server, all others in Python. Rows that cannot be upgraded stay as "
    "they are, with a record each in docstore_quarantine.\n\n"
    "Rows go down if they stand above --to only, or with --direction down: by the downgraders, and only those that "
    "lose nothing on the way; the others go to quarantine as they are. It is refused, before anything is touched, "
    "where a step has no way back. Rows above the latest version of this code are left alone.\n\n"
    "--ids-from and --sample limit the run to some rows, whoever works on it: to mend what is known, or as a canary "
    "before all rows are done. Every one of these rows is compared between the server and Python first, and the run "
    "succeeds when they are done.\n\n"
    "With --wait, Ctrl-C finishes the batches in flight and stops; the same command goes on where it stopped. A second "
    "Ctrl-C ends at once, which leaves nothing broken either."
)
_START_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore backfill start city --wait\n\n"
    "  docstore backfill start city --rate 2000\n\n"
    "  docstore backfill start city --sample 1000 --wait\n\n"
    "  docstore backfill start city --dry-run --sample 1000\n\n"
    "  docstore backfill start city --to 4 --wait --format json\n\n"
    "  docstore backfill start city --with-retired --wait\n\n"
    "[dim]Exit codes: 0 every row is there (without --wait: asked for; with --dry-run: every row would get there), "
    "1 rows are left (in quarantine, or the run was interrupted), 3 refused: rows stand on both sides of --to, a step "
    "has no way back, or another run of KIND is open.[/]"
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
            help="The schema version to bring rows to; by default the write version, or latest if there is none yet.",
            show_default=False,
        ),
    ] = None,
    direction: Annotated[
        Way | None,
        typer.Option(
            help="Which rows are to move, where some stand below --to and others above it. The others are left alone.",
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
            min=LEAST_RATE,
            help="Rows per second, of all workers together; no bound by default.",
            show_default=False,
        ),
    ] = None,
    batch_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=LEAST_SECONDS,
            help="How long a batch should take; 0.5 by default.",
            show_default=False,
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
    ids_from: Annotated[
        str | None,
        typer.Option(
            "--ids-from",
            metavar="FILE",
            help="Do only the rows whose ids stand in FILE, one line of Extended JSON for each; - reads stdin. With "
            "--dry-run: try these, all of them.",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="N",
            min=1,
            help="Do only N old rows, picked at random: a canary. With --dry-run: try N random rows besides.",
            show_default=False,
        ),
    ] = None,
    with_retired: Annotated[
        bool,
        typer.Option(
            "--with-retired",
            help="With --wait: lift rows of a restored backup that stand below the floor, by the steps that retire "
            "--archive has kept, up to the write version; then record the floor again, so that services open.",
        ),
    ] = False,
    why: Why = "",
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """See `_START_HELP`."""
    where = Where(uri=uri, database=database, upgraders=upgraders)
    way = None if direction is None else Direction(direction.value)
    for name, limit in (("--rate", rate), ("--batch-seconds", batch_seconds)):
        if limit is not None and not math.isfinite(limit):
            raise usage_fault(f"{name} has to be a number, not {limit}", "leave it out for no limit of one's own")
    if ids_from is not None and sample is not None:
        raise usage_fault("--ids-from and --sample exclude each other", "docstore backfill start --help")
    if with_retired and (not wait or dry_run or any(each is not None for each in (to, direction, ids_from, sample))):
        raise usage_fault(
            "--with-retired goes with --wait, and is about every row, up to the write version",
            "docstore backfill start KIND --with-retired --wait",
        )
    rows = Rows(ids=None if ids_from is None else read_ids(ids_from), sample=sample)
    if dry_run:
        run(tried(context, where, kind, to=to, direction=way, rows=rows, validate=validate, format=format))
    options = RunOptions(
        rate=rate,
        batch_seconds=TARGET_SECONDS if batch_seconds is None else batch_seconds,
        workers_max=workers_max,
        record_error_text=record_error_text,
        validate=None if validate is None else validate.value,
    )
    if with_retired:
        run(lifted(context, where, kind, options=options, why=why, format=format))
    start = _work_on if wait else _enqueue
    run(start(context, where, kind, to=to, direction=way, options=options, rows=rows, why=why, format=format))


async def _enqueue(
    context: typer.Context,
    where: Where,
    kind: str,
    *,
    to: int | None,
    direction: Direction | None,
    options: RunOptions,
    rows: Rows,
    why: str,
    format: Format,
) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        status = await commands.backfill_start(
            place.database,
            place.kind(kind),
            to=to,
            direction=direction,
            options=options,
            ids=rows.ids,
            sample=rows.sample,
            by=operator(),
            why=why,
        )
    show_runs([status], format)
    return ExitCode.DONE


async def _work_on(
    context: typer.Context,
    where: Where,
    kind: str,
    *,
    to: int | None,
    direction: Direction | None,
    options: RunOptions,
    rows: Rows,
    why: str,
    format: Format,
) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        with stopped_by_signals() as stop, shown_progress(kind) as on_progress:
            result = await commands.backfill(
                place.database,
                place.kind(kind),
                to=to,
                direction=direction,
                options=options,
                ids=rows.ids,
                sample=rows.sample,
                by=operator(),
                why=why,
                on_progress=on_progress,
                stop=stop,
            )
    if format is Format.JSON:
        typer.echo(json.dumps({**result.model_dump(mode="json"), "complete": result.complete}))
    else:
        Console(highlight=False).print(backfill_summary(result))
    return verdict_on(result)


for _name, _verb, _help, _example in (
    ("status", runs.status, runs.STATUS_HELP, runs.STATUS_EXAMPLE),
    ("wait", waiting.wait, waiting.HELP, waiting.EXAMPLE),
    ("pause", runs.pause, runs.PAUSE_HELP, runs.WISH_EXAMPLE.format(verb="pause")),
    ("resume", runs.resume, runs.RESUME_HELP, runs.WISH_EXAMPLE.format(verb="resume")),
    ("cancel", runs.cancel, runs.CANCEL_HELP, runs.WISH_EXAMPLE.format(verb="cancel")),
    ("set", runs.set_option, runs.SET_HELP, runs.SET_EXAMPLE),
):
    app.command(name=_name, help=_help, epilog=_example)(_verb)
