"""
What the write path asks, whether the process is a node of a fleet or works alone.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from docstore.core.absence import UNWATCHED, Absence
from docstore.core.kind import Kind
from docstore.core.write_version import ControlState
from docstore.fleet.health import NodeHealth
from docstore.fleet.in_flight import Session


class Membership(Protocol):
    """
    Answers from memory what is to be stored, and whether this process may write at all. `Node` is one.
    """

    @property
    def seconds_to_write(self) -> float:
        """
        How long a write may take that is sent now: until others take this node for dead.
        """
        ...

    @property
    def health(self) -> NodeHealth | None:
        """
        How the node fares; None where it is not in a fleet.
        """
        ...

    async def open(self) -> None:
        """
        Join the fleet.
        """

    async def close(self) -> None:
        """
        Leave it.
        """

    def writing(self, kind: str, session: Session | None = None) -> AbstractContextManager[ControlState]:
        """
        Return the context of one write, from the decision how to store it to the server's answer.

        In a transaction of the *session* the write counts as under way until that is over.

        Raises:
            StaleNodeError: The node was not heard of in time; reads go on.
        """
        ...

    def may_write(self) -> None:
        """
        Return if this process may write now.

        Raises:
            StaleNodeError: The node was not heard of in time; reads go on.
        """

    def version_for(self, kind: str, id: Any, *, standing: int | None = None) -> int:
        """
        Return the version at which a row is to be stored.
        """
        ...

    def observed(self, kind: str, version: int, *, failed: bool) -> None:
        """
        Count an operation on a row that stands, or is to be stored, at a version (`core.abort_rule.counts_as_error`).
        """

    def absence(self, kind: str) -> Absence:
        """
        Return the versions at which no row of a kind can stand, as far as that is known without a look, and why.
        """
        ...

    def ceiling(self, kind: str) -> int | None:
        """
        Return the version above which no row is rewritten: the write version, or None where there is none yet.
        """
        ...

    def control(self, kind: str) -> ControlState:
        """
        Return what this process stores of a kind.
        """
        ...

    def knob(self, name: str, default: Any, *, key: Any = None) -> Any:
        """
        Return a knob's value, or *default*.
        """
        ...


class Alone:
    """
    A process without a fleet: it stores the latest version and may always write.

    For databases that cannot tell who is alive (mongomock-motor). P6 and P7 do not hold there.

    Args:
        kinds: What the process works with.
    """

    def __init__(self, kinds: Sequence[Kind[Any]]) -> None:
        self._controls = {kind.name: ControlState(kind.name, kind.latest, 0) for kind in kinds}

    @property
    def seconds_to_write(self) -> float:
        """
        Any time.
        """
        return math.inf

    @property
    def health(self) -> NodeHealth | None:
        """
        None: nobody waits for a heartbeat.
        """
        return None

    async def open(self) -> None:
        """
        Do nothing.
        """

    async def close(self) -> None:
        """
        Do nothing.
        """

    def writing(self, kind: str, session: Session | None = None) -> AbstractContextManager[ControlState]:
        """
        Return a context that gives the control state of a stable kind.
        """
        del session
        return nullcontext(self._controls[kind])

    def may_write(self) -> None:
        """
        Return.
        """

    def version_for(self, kind: str, id: Any, *, standing: int | None = None) -> int:
        """
        Return the latest version.
        """
        return self._controls[kind].version_for(id, standing=standing)

    def observed(self, kind: str, version: int, *, failed: bool) -> None:
        """
        Do nothing: there is no canary.
        """

    def absence(self, kind: str) -> Absence:
        """
        Return that nothing is known.
        """
        del kind
        return UNWATCHED

    def ceiling(self, kind: str) -> int | None:
        """
        Return None: there is no bound.
        """
        del kind
        return None

    def control(self, kind: str) -> ControlState:
        """
        Return the control state of a stable kind.
        """
        return self._controls[kind]

    def knob(self, name: str, default: Any, *, key: Any = None) -> Any:
        """
        Return the default: nobody can turn a knob.
        """
        del name, key
        return default
