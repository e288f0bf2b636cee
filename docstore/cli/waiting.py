"""
`docstore backfill wait`: parse, wait, say how the run ended.
"""

from typing import Final

import typer

from docstore import commands
from docstore.backfill.run_status import RunStatus
from docstore.cli.complaints import complain, note
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Uri, Where
from docstore.cli.run_table import show_runs
from docstore.cli.running import opened, run
from docstore.cli.runs import KindArgument, operator
from docstore.cli.signals import stopped_by_signals
from docstore.core.run_state import CLAIMABLE, ENDED, RunState

# Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Wait until KIND's run has ended; for deploy scripts.\n\n"
    "Says on stderr what the run waits for, if it does not go on: that it is paused, on hold, or that nobody "
    "works on it. Ends too when the run is on hold because old rows keep appearing, which only people can end. "
    "Ctrl-C ends the waiting, and the run goes on."
)
EXAMPLE: Final = (
    "[bold]Example[/]\n\n  docstore backfill start city && docstore backfill wait city && ./deploy\n\n"
    "[dim]Exit codes: 0 it succeeded and no row is left, 1 it failed, or the waiting was interrupted, 2 KIND has no "
    "run, 6 it was cancelled, 7 it succeeded and left rows (in quarantine, for example), 8 it is on hold because old "
    "rows keep appearing.[/]"
)


def wait(
    context: typer.Context,
    kind: KindArgument,
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `HELP`.
    """
    run(_wait(context, Where(uri=uri, database=database), kind, format=format))


async def _wait(context: typer.Context, where: Where, kind: str, *, format: Format) -> ExitCode:
    async with opened(context, where) as database:
        with stopped_by_signals(None) as stop:
            found = await commands.backfill_wait(database, kind, by=operator(), stop=stop, on_look=_Remarks())
    show_runs([found], format)
    return verdict(found)


class _Remarks:
    """
    Says on stderr why a run that is waited for does not go on, once each time that this changes.
    """

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, status: RunStatus) -> None:
        remark = ""
        if status.state in ENDED:
            return
        if status.state is RunState.CANCELLING:
            remark = f"{status.kind}: the run is {status.state}; it ends when the last lease has"
        elif status.state not in CLAIMABLE:
            remark = f"{status.kind}: the run is {status.state}; docstore backfill resume {status.kind} lets it go on"
        elif status.hold is not None:
            remark = f"{status.kind}: on hold, {status.hold.reason}: {status.hold.detail}"
        elif not any(not worker.note for worker in status.workers):
            remark = f"{status.kind}: nobody works on the run; docstore worker takes it up"
        if remark and remark != self._said:
            note(remark)
        self._said = remark


def verdict(status: RunStatus) -> ExitCode:
    """
    Say what a run that was waited for came to, and return the exit code for it.
    """
    if status.state is RunState.SUCCEEDED:
        return _left(status)
    if status.state is RunState.CANCELLED:
        complain(f"the run was cancelled: {status.reason}", f"docstore backfill start {status.kind} begins a new one")
        return ExitCode.CANCELLED
    if status.state is RunState.FAILED:
        mend = f"mend that, then: docstore backfill resume {status.kind}"
        complain(f"the run failed: {status.reason}", mend)
        return ExitCode.FAILED
    if status.waits_for_writers and status.hold is not None:
        complain(
            f"the run is on hold, {status.hold.reason}: {status.hold.detail}",
            f"docstore backfill start {status.kind} has it look again once they are gone",
        )
        return ExitCode.HELD
    complain(f"interrupted: the run is {status.state}", f"docstore backfill wait {status.kind} waits on")
    return ExitCode.FAILED


def _left(status: RunStatus) -> ExitCode:
    if status.remaining:
        rows = "1 row is" if status.remaining == 1 else f"{status.remaining:,} rows are"
        complain(f"{rows} left, in quarantine", f"docstore quarantine list {status.kind} says why")
    elif status.newer:
        complain(status.reason, "code that knows their version can bring them down")
    else:
        return ExitCode.DONE
    return ExitCode.ROWS_LEFT
