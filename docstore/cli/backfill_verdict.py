"""
What a backfill came to: the exit code, and what to do next where rows are left.
"""

from docstore.backfill.progress import BackfillResult
from docstore.cli.complaints import complain
from docstore.cli.exits import ExitCode
from docstore.cli.run_words import left
from docstore.core.direction import Direction
from docstore.core.run_state import RunState

_ASKED: dict[RunState, str] = {
    RunState.PAUSED: "docstore backfill resume {kind} lets it go on",
    RunState.PAUSING: "docstore backfill resume {kind} lets it go on",
    RunState.CANCELLED: "{again} begins a new one",
    RunState.CANCELLING: "{again} begins a new one",
}


def verdict_on(result: BackfillResult, *, again: str | None = None) -> ExitCode:
    """
    Say why a backfill in this process did not reach its end, if it did not, and return the exit code for it.

    *again* is the command that goes on with it, where that is another than for a plain backfill.
    """
    if result.complete:
        return ExitCode.DONE
    if again is None and result.selection is not None:
        again = "the same command"
    elif again is None:
        way = f" --direction {result.direction}" if result.direction is Direction.DOWN else ""
        again = f"docstore backfill start {result.kind} --to {result.target}{way} --wait"
    where = left(result.direction, result.target)
    rows = "1 row is" if result.remaining == 1 else f"{result.remaining:,} rows are"
    if result.state is RunState.FAILED:
        complain(f"the run failed: {result.reason}", f"mend that, then: docstore backfill resume {result.kind}")
    elif result.state in _ASKED:
        complain(
            f"the run was {result.state} by an operator: {rows} still {where}",
            _ASKED[result.state].format(kind=result.kind, again=again),
        )
    elif result.interrupted:
        complain(f"interrupted: {rows} still {where}", f"{again} goes on")
    elif result.newer and not result.remaining:
        complain(result.reason, "code that knows their version can bring them down")
    elif result.quarantined >= result.remaining:
        complain(
            f"{rows} still {where}, in quarantine",
            f"docstore quarantine list {result.kind} says why; mend the rows or the steps, then: {again}",
        )
    else:
        complain(result.reason, f"{again} tries again")
    return ExitCode.FAILED
