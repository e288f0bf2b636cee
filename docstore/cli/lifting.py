"""
`docstore backfill start KIND --with-retired --wait`: lift, render.
"""

import typer
from rich.console import Console

from docstore import commands
from docstore.cli.backfill_progress import shown_progress
from docstore.cli.backfill_summary import backfill_summary
from docstore.cli.backfill_verdict import verdict_on
from docstore.cli.complaints import complain, note
from docstore.cli.exits import ExitCode
from docstore.cli.options import Format, Where
from docstore.cli.running import workplace
from docstore.cli.runs import operator
from docstore.cli.signals import stopped_by_signals
from docstore.core.run_record import RunOptions


async def lifted(
    context: typer.Context, where: Where, kind: str, *, options: RunOptions, why: str, format: Format
) -> ExitCode:
    """
    Lift rows below the floor, and say how that ended.

    Raises:
        DocstoreError: See `commands.backfill_with_retired`.
    """
    async with workplace(context, where, kind=kind) as place:
        with stopped_by_signals() as stop, shown_progress(kind) as on_progress:
            result = await commands.backfill_with_retired(
                place.database,
                place.kind(kind),
                options=options,
                by=operator(),
                why=why,
                on_progress=on_progress,
                stop=stop,
            )
    if format is Format.JSON:
        typer.echo(result.model_dump_json())
    else:
        for each in result.runs:
            Console(highlight=False).print(backfill_summary(each))
    code = verdict_on(result.runs[-1], again=f"docstore backfill start {kind} --with-retired --wait")
    if result.recorded:
        note(f"the floor {result.floor} of {kind} is recorded, and its services open again")
    if result.unfenced is not None:
        complain(f"the server refuses no rows below it: {result.unfenced}", result.command)
    return code
