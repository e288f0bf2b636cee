"""
What to do next about a kind, in words and as the command to type.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from docstore.backfill.run_status import RunStatus
from docstore.cli.durations import span
from docstore.cli.row_words import some_rows
from docstore.cli.run_words import aim
from docstore.commands import IndexState, KindReport
from docstore.core.fence_state import FenceState
from docstore.core.rollout_state import RolloutState
from docstore.core.run_state import RunState
from docstore.fleet.rollout_status import RolloutStatus


class Urgency(IntEnum):
    """
    What comes first in a list of things to do.
    """

    #: Something is wrong that does not mend itself.
    FAULT = 0
    #: Something was begun, and waits for somebody.
    WAITING = 1
    #: The way goes on here.
    NEXT = 2
    #: It goes on by itself; this only watches it.
    GOES_ON = 3


@dataclass(frozen=True, slots=True)
class NextCommand:
    """
    One thing to do.
    """

    urgency: Urgency
    #: One sentence.
    words: str
    #: What to type; None where no command helps.
    command: str | None = None


_FENCES: Final = {
    FenceState.MISSING: "The fence that was recorded is gone: put it up again.",
    FenceState.ALTERED: "The fence was changed by hand: put it up as it should be.",
    FenceState.DIFFERENT: "The fence is not the one that was recorded: put it up as it should be.",
    FenceState.UNRECORDED: "Nobody has recorded this fence, so that no rollout raises it: record it.",
}
_LACKING: Final = {
    IndexState.MISSING: "{} has no index on the tag, so that every row is read to count them.",
    IndexState.INCOMPLETE: "{} has no index on tags that are no integers, so that every key is read to count them.",
}


def next_commands(found: KindReport) -> list[NextCommand]:
    """
    Return what to do about a kind, the most urgent first; nothing if nothing is left to do.

    Every command repeats its own gates, so none is wrong to type: at worst it says what is in the way.
    """
    steps = [*_faults(found), *_fence(found), *_retiring(found), *_moving(found)]
    if not steps:
        steps += _onwards(found)
    if (lacking := _LACKING.get(found.counted.index)) is not None:
        words = lacking.format(found.counted.report.collection)
        steps.append(NextCommand(Urgency.NEXT, words, f"docstore coverage {shlex.quote(found.name)} --create-index"))
    return sorted(steps, key=lambda step: step.urgency)


def _faults(found: KindReport) -> Iterator[NextCommand]:
    report, name = found.counted.report, shlex.quote(found.name)
    if report.unreadable:
        words = f"{some_rows(report.unreadable)} have a tag that is no version: mend {found.tag} of them by hand."
        yield NextCommand(Urgency.FAULT, words)
    below_floor = sum(count.rows for count in report.versions if count.version < report.floor)
    if below_floor:
        words = f"{some_rows(below_floor)} stand below the floor of this code, {report.floor}: nobody reads them."
        yield NextCommand(Urgency.FAULT, words, f"docstore backfill start {name} --with-retired --wait")
    if report.bypassed:
        words = "; ".join(report.bypassed)
        yield NextCommand(Urgency.FAULT, f"{words[:1].upper()}{words[1:]}.", "docstore check --database")
    if report.newer:
        words = f"{some_rows(report.newer)} stand above the latest version of this code, {report.latest}: "
        yield NextCommand(Urgency.FAULT, f"{words}run docstore with the package of the newer release.")
    if report.quarantined:
        words = f"{some_rows(report.quarantined)} cannot be upgraded: mend the rows or the step, then try them again."
        yield NextCommand(Urgency.FAULT, words, f"docstore quarantine list {name}")


def _fence(found: KindReport) -> Iterator[NextCommand]:
    # While a retirement is under way the fence is that of the retirement.
    if found.fence in _FENCES and (found.floor is None or found.floor.retiring is None):
        urgency = Urgency.WAITING if found.fence is FenceState.UNRECORDED else Urgency.FAULT
        yield NextCommand(urgency, _FENCES[found.fence], f"docstore fence apply {shlex.quote(found.name)}")


def _retiring(found: KindReport) -> Iterator[NextCommand]:
    retiring = None if found.floor is None else found.floor.retiring
    if retiring is not None:
        words = f"Retiring what is below version {retiring.below} was begun by {retiring.by}, and has not ended."
        yield NextCommand(Urgency.WAITING, words, f"docstore retire {shlex.quote(found.name)} --resume")


def _moving(found: KindReport) -> Iterator[NextCommand]:
    name, run, rollout = shlex.quote(found.name), found.run, found.rollout
    if run is not None and (step := _of_run(name, run)) is not None:
        yield step
    elif rollout is not None:
        yield from _of_rollout(name, rollout)


def _of_run(name: str, run: RunStatus) -> NextCommand | None:
    what = f"The run {aim(run.direction, run.target)}"
    match run.state:
        case RunState.PAUSED:
            return NextCommand(Urgency.WAITING, f"{what} is paused.", f"docstore backfill resume {name}")
        case RunState.FAILED:
            words = f"{what} failed ({run.reason}): mend the cause, then have it go on."
            return NextCommand(Urgency.FAULT, words, f"docstore backfill resume {name}")
        case RunState.ENQUEUED | RunState.RUNNING:
            return _of_claimable(name, what, run)
        case RunState.PAUSING | RunState.CANCELLING:
            words = f"{what} ends what its workers have at hand."
            return NextCommand(Urgency.GOES_ON, words, f"docstore backfill wait {name}")
    return None


def _of_claimable(name: str, what: str, run: RunStatus) -> NextCommand:
    if run.hold is not None:
        words = f"{what} is on hold ({run.hold.reason}): {run.hold.detail}."
        urgency = Urgency.FAULT if run.waits_for_writers else Urgency.WAITING
        return NextCommand(urgency, words, f"docstore backfill status {name}")
    if not any(not worker.note for worker in run.workers):
        return NextCommand(Urgency.WAITING, f"{what} has no worker.", "docstore worker --drain")
    rest = "" if run.eta_seconds is None else f", about {span(run.eta_seconds)} more"
    return NextCommand(Urgency.GOES_ON, f"{what} goes on{rest}.", f"docstore backfill wait {name}")


def _of_rollout(name: str, rollout: RolloutStatus) -> Iterator[NextCommand]:
    to = rollout.write_version
    match rollout.state:
        case RolloutState.CANARY if rollout.canary is not None:
            percent, version = f"{rollout.canary.percent:g} %", rollout.canary.version
            if failures := rollout.canary.failures:
                words = (
                    f"{failures:,} of {rollout.canary.operations:,} operations failed on rows at version {version}: "
                )
                words += "look why, or go back."
                yield NextCommand(Urgency.WAITING, words, f"docstore rollout rollback {name}")
            else:
                words = f"{percent} of the ids are stored at version {version}: if all is well, store all of them so."
                yield NextCommand(Urgency.NEXT, words, f"docstore rollout advance {name}")
        case RolloutState.OPEN | RolloutState.BACKFILLING:
            words = f"All rows are stored at version {to}: bring the older ones there too."
            yield NextCommand(Urgency.NEXT, words, f"docstore backfill start {name} --wait")
        case RolloutState.ROLLING_BACK:
            words = f"The rollout is being rolled back: bring the rows above version {to} back."
            yield NextCommand(Urgency.WAITING, words, f"docstore backfill start {name} --to {to} --wait")


def _onwards(found: KindReport) -> Iterator[NextCommand]:
    """
    Yield the one thing that comes next where nothing is at fault and nothing is under way.
    """
    report, name, rollout = found.counted.report, shlex.quote(found.name), found.rollout
    stored = report.latest if rollout is None else rollout.write_version
    behind = sum(count.rows for count in report.versions if report.floor <= count.version < stored)
    if behind:
        words = f"{some_rows(behind)} stand below version {stored}, at which rows are stored: bring them there."
        yield NextCommand(Urgency.NEXT, words, f"docstore backfill start {name} --wait")
    elif report.untagged:
        words = f"{some_rows(report.untagged)} have no tag: give each one the version at which it stands."
        yield NextCommand(Urgency.NEXT, words, f"docstore adopt {name}")
    elif stored < report.latest:
        words = (
            f"The code knows version {stored + 1}, and rows are stored at {stored}: once every node runs it, begin "
            "with some of them."
        )
        yield NextCommand(Urgency.NEXT, words, f"docstore rollout canary {name} --percent 5 --abort-on 'errors>1%'")
    elif (recorded := _recorded(found)) > report.floor:
        words = f"Version {recorded} is the recorded floor: what leads up to it may be deleted; this names it."
        yield NextCommand(Urgency.NEXT, words, f"docstore retire {name} --below {recorded}")
    elif report.retirable_below is not None and report.retirable_below > recorded:
        words = f"No row stands below version {report.retirable_below}: see whether its upgraders may go."
        command = f"docstore retire {name} --below {report.retirable_below} --dry-run"
        yield NextCommand(Urgency.NEXT, words, command)


def _recorded(found: KindReport) -> int:
    return 0 if found.floor is None else found.floor.floor or 0
