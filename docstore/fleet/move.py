"""
A change of what is stored, as an operator or the rollout itself asks for it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from docstore.core.blocker import Blocker
from docstore.core.control_view import ControlView
from docstore.core.rollout_gates import Situation
from docstore.core.write_version import ControlState


@dataclass(frozen=True, slots=True)
class Move:
    """
    One change of a kind's control state, as it is asked for.
    """

    kind: str
    #: What it is called in a refusal.
    asked: str
    blockers: Callable[[Situation], Sequence[Blocker]]
    #: Gives the state after it from what was seen, and its epoch.
    make: Callable[[Situation, int], ControlState]
    why: str = ""
    #: The epoch of the control state that it was decided on; None for whatever the state is.
    only_epoch: int | None = None
    #: What has to be done before it, when nothing is in the way; tells whether the records have to be read anew.
    prepare: Callable[[ControlView], Awaitable[bool]] | None = None
