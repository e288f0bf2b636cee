"""
What a drill asks the fleet about.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from docstore import commands
from docstore.core.write_version import VersionRange
from docstore.drill import rollout
from docstore.drill.rollout import DrillRollout
from docstore.errors import DrillBrokenError
from docstore.fleet.status import Life
from tests.kinds import place_kind

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
