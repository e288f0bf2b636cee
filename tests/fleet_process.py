"""
A node in memory, as it sees itself.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from docstore.core.fleet_facts import Policy
from docstore.core.kind import Kind
from docstore.core.newer_steps import NewerSteps, reading
from docstore.core.write_version import ControlState
from docstore.fleet.in_flight import InFlight
from tests.item_releases import release
from tests.stored_items import Write


@dataclass
class Process:
    """
    A node, and the release that it is of.
    """

    id: str
    service: str
    instance: str
    floor: int
    latest: int
    policy: Policy = Policy.ENFORCE
    #: Whether it reads newer rows through published steps.
    borrows: bool = False
    started: float = 0.0
    paused: bool = False
    admitted: bool = False
    #: When its last heartbeat was sent that was acknowledged.
    sent: float = 0.0
    #: The control state that it works with.
    held: ControlState | None = None
    in_flight: InFlight = field(default_factory=lambda: InFlight(lambda: 0.0))
    #: Writes that were decided and have not arrived, with what ends each.
    under_way: list[tuple[Write, ExitStack]] = field(default_factory=list)
    kind: Kind[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.kind = release(self.latest, floor=self.floor)
        if self.borrows:
            self.kind = reading(self.kind, NewerSteps())
