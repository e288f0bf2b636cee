"""
`docstore drill`: parse, hold it, and show what it has shown.
"""

import asyncio
import signal
from typing import Annotated, Final

import typer

from docstore.cli.drill_progress import shown_drill
from docstore.cli.drill_table import show_drill
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Where
from docstore.cli.running import kind_and_package, run, usage_fault
from docstore.drill.plan import Options

# Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Rehearse the next flip of KIND before a release: two releases write the same rows while the version that is "
    "stored goes up, back, and up again.\n\n"
    "Nodes of the release before and of this one run as real processes. They write through a canary, an advance, a "
    "rollback with its reverse backfill, another advance, and the backfill. Then every row is held against every write "
    "that was acknowledged: nothing may be lost, stripped, brought back to life, or stand where somebody cannot read "
    "it.\n\n"
    "It runs on a private MongoDB, with copies of KIND's golden rows. With --uri it takes rows of a staging database, "
    "which is only read, and plays in a database of its own beside it; it is refused where that database has no such "
    "collection, and takes golden rows where it is empty. DOCSTORE_URI is not used: it names the database "
    "of the service. Nothing is left behind, also after Ctrl-C."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore drill city\n\n"
    "  docstore drill city --old v1.8.0 --seconds 60\n\n"
    "  docstore drill city --uri mongodb://staging/geo --rows 5000 --format json | jq .faults\n\n"
    "[dim]Exit codes: 0 nothing is wrong, 1 something is, or it broke off, 2 usage, 3 refused: no such drill can be "
    "held, or a gate said no.[/]"
)


def drill(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The kind.", show_default=False)],
    *,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="How many rows to begin with.")] = 500,
    seconds: Annotated[
        float,
        typer.Option("--seconds", metavar="S", min=1, help="How long the nodes write; moving rows comes on top of it."),
    ] = 20.0,
    nodes: Annotated[int, typer.Option("--nodes", metavar="N", min=1, max=16, help="Nodes of each release.")] = 1,
    percent: Annotated[
        float, typer.Option("--percent", metavar="P", min=0, max=100, help="The share of the ids in the canary.")
    ] = 25.0,
    old: Annotated[
        str | None,
        typer.Option(
            "--old",
            metavar="REV",
            help="The release before, as a git revision, run from a worktree; by default it is the same package "
            "without its last step. Only the package of kinds is taken from there.",
            show_default=False,
        ),
    ] = None,
    old_model: Annotated[
        str | None,
        typer.Option(
            "--old-model",
            metavar="MODULE:CLASS",
            help="Without --old: the model of the release before; by default one that takes every shape.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Other choices of rows and values.")] = 1,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the journals behind, and with --uri the drill's own database."),
    ] = False,
    format: FormatOption = Format.TABLE,
    uri: Annotated[
        str | None,
        typer.Option(
            "--uri",
            metavar="STAGING",
            help="A staging deployment to take rows from and to play at; a private MongoDB without it.",
            show_default=False,
        ),
    ] = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `HELP`.
    """
    if old is not None and old_model is not None:
        raise usage_fault("--old and --old-model exclude each other: a revision has its own model", "docstore drill -h")
    where = Where(uri=uri, database=database, upgraders=upgraders).or_else(context.obj)
    if where.database is not None and where.uri is None:
        raise usage_fault("--database names a staging database, and no --uri says where it is", "docstore drill -h")
    options = Options(
        rows=rows,
        seconds=seconds,
        nodes=nodes,
        percent=percent,
        uri=where.uri,
        database=where.database,
        old=old,
        old_model=old_model,
        keep=keep,
        seed=seed,
    )
    run(_drill(context, where, kind, options, format))


async def _drill(context: typer.Context, where: Where, name: str, options: Options, format: Format) -> ExitCode:
    from docstore.drill.play import Told, play  # noqa: PLC0415 - the other commands do not pay for it

    kind, package = kind_and_package(context, where, kind=name)
    # What is to be removed is removed by the same way as at Ctrl-C.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    with shown_drill() as shown:
        report = await play(kind, package, options, Told(phase=shown.phase, writes=shown.writes))
    show_drill(report, format)
    return ExitCode.DONE if report.passed else ExitCode.FAILED
