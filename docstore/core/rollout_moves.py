"""
What operators and the rollout itself make of a kind's control state, as values: each move gives the state after it.

A move checks that the table of transitions holds it, and nothing else. Whether it may be made now is for the gates.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from docstore.core.abort_rule import AbortRule
from docstore.core.rollout_state import RolloutState, reason_for
from docstore.core.write_version import Canary, ControlState, Unsettled


def canaried(
    control: ControlState,
    *,
    percent: float,
    epoch: int,
    settled: bool,
    step: str | None,
    irreversible: bool = False,
    abort_on: AbortRule | None = None,
) -> ControlState:
    """
    Return the state in which a share of the rows is stored at N+1.

    Args:
        control: The state before.
        percent: The share, 0 to 100.
        epoch: The epoch of the new state.
        settled: Whether every live node has acknowledged what was unsettled before.
        step: The fingerprint of the step to N+1, where it is known.
        irreversible: Whether there is no way back.
        abort_on: When it goes back by itself; another percentage keeps the rule that was given, unless there is a new
            one.

    Raises:
        IllegalTransitionError: The state does not allow it.
    """
    same = control.canary
    rule = abort_on or (None if same is None else same.abort_on)
    return _moved(
        control,
        RolloutState.CANARY,
        epoch=epoch,
        settled=settled,
        canary=Canary(control.next, percent, rule, epoch if same is None else same.began),
        previous=None,
        irreversible=irreversible or (control.state is RolloutState.CANARY and control.irreversible),
        steps=_with_step(control, step),
    )


def advanced(
    control: ControlState, *, epoch: int, settled: bool, step: str | None, irreversible: bool = False
) -> ControlState:
    """
    Return the state in which all rows are stored at N+1.

    Raises:
        IllegalTransitionError: The state does not allow it.
    """
    return _moved(
        control,
        RolloutState.OPEN,
        epoch=epoch,
        settled=settled,
        write_version=control.next,
        canary=None,
        previous=control.write_version,
        irreversible=irreversible or (control.state is RolloutState.CANARY and control.irreversible),
        steps=_with_step(control, step),
    )


def rolled_back(control: ControlState, *, epoch: int, settled: bool) -> ControlState:
    """
    Return the state in which all rows are stored at N again.

    Raises:
        IllegalTransitionError: The state does not allow it.
    """
    target = control.write_version if control.previous is None else control.previous
    return _moved(
        control,
        RolloutState.ROLLING_BACK,
        epoch=epoch,
        settled=settled,
        write_version=target,
        canary=None,
        previous=None,
        irreversible=False,
    )


def backfill_began(control: ControlState, *, epoch: int) -> ControlState:
    """
    Return the state while a backfill brings the older rows to the write version.

    Raises:
        IllegalTransitionError: The state does not allow it.
    """
    return _moved(control, RolloutState.BACKFILLING, epoch=epoch)


def backfill_stopped(control: ControlState, *, epoch: int) -> ControlState:
    """
    Return the state after a backfill ended with rows left.

    Raises:
        IllegalTransitionError: The state does not allow it.
    """
    return _moved(control, RolloutState.OPEN, epoch=epoch)


def completed(control: ControlState, *, epoch: int, left_above: bool = False) -> ControlState:
    """
    Return the state after a rollout has reached its end: complete, or stable after a rollback.

    After a rollback the step to N+1 may be written anew: no row stands there by it, unless rows were *left_above*.
    Whether rows below keep something by it is remembered apart from the state (`mongo.residue_steps`).

    Raises:
        IllegalTransitionError: The state does not allow it.
    """
    if control.state is RolloutState.ROLLING_BACK:
        kept = {to: mark for to, mark in control.steps.items() if int(to) <= control.write_version}
        steps = control.steps if left_above else kept
        return _moved(control, RolloutState.STABLE, epoch=epoch, steps=steps, unsettled=None)
    return _moved(control, RolloutState.COMPLETE, epoch=epoch, unsettled=None)


def _moved(
    control: ControlState, after: RolloutState, *, epoch: int, settled: bool = True, **changes: Any
) -> ControlState:
    reason_for(control.state, after)
    moved = replace(control, state=after, epoch=epoch, **changes)
    if (moved.written, moved.canary) == (control.written, control.canary):
        return moved
    versions = control.written
    if control.unsettled is not None and not settled:
        versions = versions.joined(control.unsettled.versions)
    return replace(moved, unsettled=Unsettled(versions, epoch))


def _with_step(control: ControlState, step: str | None) -> Mapping[str, str]:
    return control.steps if step is None else {**control.steps, str(control.next): step}
