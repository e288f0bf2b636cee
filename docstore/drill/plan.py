"""
What a drill does, in order: the moves of a rollout and how long everybody writes after each; and what users choose.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Move(StrEnum):
    """
    What is done before everybody writes for a while.
    """

    #: Nothing: both releases write what the old one has always written.
    BEGIN = "begin"
    CANARY = "canary"
    ADVANCE = "advance"
    #: Until no row is left above.
    ROLL_BACK = "roll back"
    #: Until no row is left below.
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Phase:
    """
    One part of a drill.
    """

    name: str
    move: Move
    #: Its share of the time for which nodes write while nothing else is waited for.
    share: float
    #: Whether all rows are held against all writes at its end.
    compares: bool = False

    def text(self, old: int, new: int, percent: float) -> str:
        """
        Say what it does.
        """
        match self.move:
            case Move.BEGIN:
                return f"both releases write; rows are stored at version {old}"
            case Move.CANARY:
                return f"{percent:g} % of the ids are stored at version {new}"
            case Move.ADVANCE:
                return f"all rows are stored at version {new}"
            case Move.ROLL_BACK:
                return f"all rows are stored at version {old} again, and those above are brought down"
            case Move.BACKFILL:
                return f"the rows below version {new} are brought up"


#: Two flips with a way back between them.
PHASES: Final = (
    Phase("before", Move.BEGIN, 0.2),
    Phase("canary", Move.CANARY, 0.2),
    Phase("advance", Move.ADVANCE, 0.2),
    Phase("roll back", Move.ROLL_BACK, 0.1, compares=True),
    Phase("advance again", Move.ADVANCE, 0.2),
    Phase("backfill", Move.BACKFILL, 0.1, compares=True),
)


@dataclass(frozen=True, slots=True)
class Options:
    """
    What the user asked for.
    """

    rows: int = 500
    #: How long nodes write, in seconds; moving rows comes on top of it.
    seconds: float = 20.0
    #: Nodes of each release.
    nodes: int = 1
    #: The share of the ids that the canary stores at the new version.
    percent: float = 25.0
    #: A staging deployment to take rows from and to play beside, and its database; a private mongod without it.
    uri: str | None = None
    database: str | None = None
    #: A git revision that the old release is taken from.
    old: str | None = None
    #: The old release's model, as "package.module:Class".
    old_model: str | None = None
    #: Leave the database (beside a staging database) and the journals behind.
    keep: bool = False
    seed: int = 1
