"""
What to do next follows from how a kind stands, as a command that can be typed.
"""

from typing import Any

import pytest

from docstore.cli.next_commands import NextCommand, Urgency, next_commands
from docstore.commands import IndexState
from docstore.core.fence import split
from docstore.core.floor_state import FenceRecord, FloorState, Retiring, Validation
from docstore.core.rollout_state import RolloutState
from docstore.core.run_state import RunState
from docstore.core.way_back import WayBack
from docstore.fleet.rollout_status import CanaryStatus
from docstore.mongo.fence import CollectionFence
from tests.html_reports import AT, coverage, fenced, kind_report, rollout, run
from tests.typed_commands import parse

_R = RolloutState
FENCED = FloorState("city", 1, fence=FenceRecord(1, 6, "strict"))


def asked(**facts: Any) -> list[NextCommand]:
    report = facts.pop("report", None) or coverage(versions={6: 10}, write_version=6)
    return next_commands(kind_report(report, **facts))


def typed(**facts: Any) -> list[str | None]:
    return [step.command for step in asked(**facts)]


def canary(failures: int) -> CanaryStatus:
    return CanaryStatus(version=6, percent=5, abort_on=None, operations=10, failures=failures)


@pytest.mark.parametrize(
    ("facts", "commands"),
    [
        ({}, []),
        ({"report": coverage()}, []),
        ({"report": coverage(versions={5: 1, 6: 1})}, ["docstore backfill start city --wait"]),
        ({"report": coverage(versions={6: 1}, untagged=3)}, ["docstore adopt city"]),
        ({"report": coverage(versions={5: 1}, untagged=3)}, ["docstore backfill start city --wait"]),
        (
            {"report": coverage(versions={6: 1}, retirable_below=6)},
            ["docstore retire city --below 6 --dry-run"],
        ),
        (
            {"report": coverage(versions={6: 1}, retirable_below=6), "floor": FloorState("city", 1, floor=6)},
            ["docstore retire city --below 6"],
        ),
        (
            {"report": coverage(versions={6: 1}, floor=6), "floor": FloorState("city", 1, floor=6)},
            [],
        ),
        (
            {"report": coverage(versions={5: 1}, retirable_below=5), "rollout": rollout(write_version=5)},
            ["docstore rollout canary city --percent 5 --abort-on 'errors>1%'"],
        ),
        (
            {"report": coverage(versions={4: 1, 5: 1}), "rollout": rollout(write_version=5)},
            ["docstore backfill start city --wait"],
        ),
        (
            {"rollout": rollout(state=_R.CANARY, write_version=5, canary=canary(0))},
            ["docstore rollout advance city"],
        ),
        (
            {"rollout": rollout(state=_R.CANARY, write_version=5, canary=canary(3))},
            ["docstore rollout rollback city"],
        ),
        ({"rollout": rollout(state=_R.OPEN)}, ["docstore backfill start city --wait"]),
        (
            {"rollout": rollout(state=_R.ROLLING_BACK, write_version=5, way_back=WayBack.NONE)},
            ["docstore backfill start city --to 5 --wait"],
        ),
        ({"run": run()}, ["docstore backfill wait city"]),
        ({"run": run(workers=0)}, ["docstore worker --drain"]),
        ({"run": run(state=RunState.PAUSED)}, ["docstore backfill resume city"]),
        ({"run": run(state=RunState.PAUSING)}, ["docstore backfill wait city"]),
        ({"run": run(state=RunState.FAILED, reason="too many batches failed")}, ["docstore backfill resume city"]),
        ({"run": run(state=RunState.SUCCEEDED)}, []),
        ({"run": run(state=RunState.CANCELLED)}, []),
        (
            {"report": coverage(versions={5: 1}, quarantined=1, blockers=["1 row in quarantine"])},
            ["docstore quarantine list city"],
        ),
        ({"report": coverage(versions={6: 1, 7: 1})}, [None]),
        ({"report": coverage(versions={6: 1}, unreadable=1)}, [None]),
        (
            {"report": coverage(versions={2: 1, 6: 1}, floor=3)},
            ["docstore backfill start city --with-retired --wait"],
        ),
        ({"index": IndexState.INCOMPLETE}, ["docstore coverage city --create-index"]),
        ({"index": IndexState.MISSING}, ["docstore coverage city --create-index"]),
        (
            {"floor": FloorState("city", 1, retiring=Retiring(below=3, since=AT, by="ada"))},
            ["docstore retire city --resume"],
        ),
        (
            {"report": coverage(versions={6: 1}, bypassed=["the collection of city is gone"])},
            ["docstore check --database"],
        ),
        ({"validated": fenced("city", 1, 6)}, ["docstore fence apply city"]),
        ({"validated": fenced("city", 1, 6), "floor": FENCED}, []),
        ({"validated": fenced("city", 1, 7), "floor": FENCED}, ["docstore fence apply city"]),
        ({"validated": fenced("city", 1, 6, altered=True), "floor": FENCED}, ["docstore fence apply city"]),
        (
            {"validated": CollectionFence(None, Validation(), split(None)), "floor": FENCED},
            ["docstore fence apply city"],
        ),
        (
            {"report": coverage("o'brien <x>", {5: 1, 6: 1})},
            ["docstore backfill start 'o'\"'\"'brien <x>' --wait"],
        ),
    ],
)
def test_what_to_do_next(facts: dict[str, Any], commands: list[str | None]) -> None:
    assert typed(**facts) == commands
    for command in commands:
        if command is not None:
            parse(command)


def test_faults_come_before_what_goes_on_by_itself() -> None:
    found = asked(report=coverage(versions={5: 1}, quarantined=1, unreadable=2), run=run(), index=IndexState.MISSING)

    assert [step.urgency for step in found] == sorted(step.urgency for step in found)
    assert found[0].urgency is Urgency.FAULT
    assert found[-1].command == "docstore backfill wait city"


@pytest.mark.parametrize("state", RunState)
@pytest.mark.parametrize("stands", RolloutState)
def test_every_step_is_one_sentence_whatever_the_state(state: RunState, stands: RolloutState) -> None:
    for step in asked(run=run(state=state, reason="why"), rollout=rollout(state=stands)):
        assert step.words.endswith(".")
        assert "None" not in step.words
