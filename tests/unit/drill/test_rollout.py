"""
What a drill asks the fleet about, and what it makes of a gate that says no.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from docstore import commands
from docstore.core.blocker import Cause
from docstore.core.write_version import VersionRange
from docstore.drill import rollout
from docstore.drill.plan import Move
from docstore.drill.rollout import DrillRollout
from docstore.errors import DrillBrokenError, RolloutRefusedError
from docstore.fleet.status import Life
from tests.kinds import place_kind

ANYWHERE: Any = None
SILENT: list[Any] = []
NODE = SimpleNamespace(life=Life.ALIVE, kinds=[SimpleNamespace(kind="place", reads=(1, 2))])
GONE = SimpleNamespace(life=Life.DEAD, kinds=[SimpleNamespace(kind="place", reads=(1, 9))])


def fleets(monkeypatch: pytest.MonkeyPatch, *answers: list[Any]) -> None:
    left = list(answers)

    async def fleet(database: Any) -> Any:
        del database
        return SimpleNamespace(nodes=left.pop(0) if len(left) > 1 else left[0])

    monkeypatch.setattr(commands, "fleet", fleet)


async def test_nodes_that_were_silent_because_the_machine_stood_still_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleets(monkeypatch, SILENT, [GONE], [NODE, GONE])
    asked: Any = None

    drill = DrillRollout(asked, place_kind(), percent=10, phase=lambda: "write")

    assert await drill.readable() == VersionRange(1, 2)


async def test_a_drill_without_a_live_node_breaks_off_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fleets(monkeypatch, [GONE])
    monkeypatch.setattr(rollout, "_PATIENCE", 0.1)
    asked: Any = None

    with pytest.raises(DrillBrokenError, match="no node of it is alive") as caught:
        await DrillRollout(asked, place_kind(), percent=10, phase=lambda: "write").readable()

    assert caught.value.phase == "write"


def drill_refused_by(patch: pytest.MonkeyPatch, *causes: Cause) -> list[str]:
    """
    Have the first advance refused for these causes; return what is asked, as it is asked.
    """
    asked: list[str] = []

    async def advance(*_: Any, by: str, **__: Any) -> str:
        asked.append(by)
        if len(asked) == 1:
            blockers = [{"cause": cause.value, "words": "no"} for cause in causes]
            raise RolloutRefusedError(kind="place", asked="advancing", blockers=blockers)
        return "advanced"

    patch.setattr(commands, "rollout_advance", advance)
    return asked


def drill() -> DrillRollout:
    return DrillRollout(ANYWHERE, place_kind(), percent=25.0, phase=lambda: "advance")


async def test_a_drill_goes_on_once_its_nodes_are_heard_of_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = drill_refused_by(monkeypatch, Cause.NO_LIVE_NODE, Cause.UNCLEAN_DEATH)

    made: Any = await drill().make(Move.ADVANCE)

    assert made == "advanced"
    assert len(asked) == 2


async def test_a_drill_breaks_off_where_anything_else_stands_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = drill_refused_by(monkeypatch, Cause.UNCLEAN_DEATH, Cause.NODE_CANNOT_READ)

    with pytest.raises(RolloutRefusedError):
        await drill().make(Move.ADVANCE)
    assert len(asked) == 1
