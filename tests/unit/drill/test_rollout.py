"""
What a drill makes of a gate that says no.
"""

from typing import TYPE_CHECKING, Any, cast

import pytest

from docstore import commands
from docstore.core.blocker import Cause
from docstore.drill.plan import Move
from docstore.drill.rollout import DrillRollout
from docstore.errors import RolloutRefusedError
from tests.kinds import place_kind

if TYPE_CHECKING:
    from docstore.mongo.driver import AnyDatabase


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


def rollout() -> DrillRollout:
    return DrillRollout(cast("AnyDatabase", None), place_kind(), percent=25.0, phase=lambda: "advance")


async def test_a_drill_goes_on_once_its_nodes_are_heard_of_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = drill_refused_by(monkeypatch, Cause.NO_LIVE_NODE, Cause.UNCLEAN_DEATH)

    assert cast("str", await rollout().make(Move.ADVANCE)) == "advanced"
    assert len(asked) == 2


async def test_a_drill_breaks_off_where_anything_else_stands_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = drill_refused_by(monkeypatch, Cause.UNCLEAN_DEATH, Cause.NODE_CANNOT_READ)

    with pytest.raises(RolloutRefusedError):
        await rollout().make(Move.ADVANCE)
    assert len(asked) == 1
