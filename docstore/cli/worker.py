"""
`docstore worker`: parse, work.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Final

import typer

from docstore import commands
from docstore.backfill.metrics import WorkerMetrics, served
from docstore.backfill.worker import LEASE
from docstore.cli.complaints import note
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Upgraders, Uri, Where
from docstore.cli.running import run, usage_fault, workplace
from docstore.cli.signals import stopped_by_signals

#: Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Work on backfill runs, until told to stop.\n\n"
    "Any number of workers may run, on any hosts: each takes its share of every open run of the kinds that it knows. "
    "One that is killed loses nothing; the others take over what it had.\n\n"
    "SIGTERM or Ctrl-C: batches in flight are finished or given back, and the process ends with 0 within 5 seconds.\n\n"
    "What goes wrong is logged, one line for each event; with docstore --verbose worker also what goes well."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore worker\n\n"
    "  docstore worker --drain --concurrency 2\n\n"
    "[dim]Exit codes: 0 told to stop, or nothing is open any more with --drain; what became of the runs is shown by "
    "docstore backfill status. 5 the database could not be reached at the start; later it is waited for.[/]"
)


def worker(
    context: typer.Context,
    *,
    drain: Annotated[
        bool, typer.Option("--drain", help="End when no run is open that this worker can work on.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many batches of each run to work on at the same time.")
    ] = 1,
    lease: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=1.0, help="How long others wait before they take over a batch of a dead worker."
        ),
    ] = LEASE,
    throttle: Annotated[
        bool,
        typer.Option(
            "--throttle/--no-throttle",
            help="Hold back when the server shows the load. Without it this worker goes on at full speed whatever its "
            "load is, at the cost of everybody else who uses the database.",
        ),
    ] = True,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Serve numbers for Prometheus over HTTP on this port; 0 picks a free one.",
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
    where = Where(uri=uri, database=database, upgraders=upgraders)
    with _served(metrics_port) as metrics:
        run(
            _worker(
                context, where, drain=drain, concurrency=concurrency, lease=lease, throttle=throttle, metrics=metrics
            )
        )


@contextmanager
def _served(port: int | None) -> Iterator[WorkerMetrics | None]:
    if port is None:
        yield None
        return
    metrics = WorkerMetrics()
    with ExitStack() as serving:
        try:
            at = serving.enter_context(served(metrics, port))
        except OSError as error:
            raise usage_fault(
                f"port {port} cannot be had: {error.strerror}", "name another with --metrics-port"
            ) from None
        note(f"numbers for Prometheus: http://localhost:{at}/metrics")
        yield metrics


async def _worker(
    context: typer.Context,
    where: Where,
    *,
    drain: bool,
    concurrency: int,
    lease: float,
    throttle: bool,
    metrics: WorkerMetrics | None,
) -> ExitCode:
    async with workplace(context, where) as place:
        with stopped_by_signals() as stop:
            await commands.work(
                place.database,
                place.kinds.values(),
                drain=drain,
                concurrency=concurrency,
                lease=lease,
                stop=stop,
                throttled=throttle,
                metrics=metrics,
            )
    return ExitCode.DONE
