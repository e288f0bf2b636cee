"""
Whether code may work with a database whose rows, or whose recorded floor, lie below what the code still reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from docstore.core.blocker import Blocker, Cause
from docstore.core.floor_state import FloorState
from docstore.core.write_version import StoredRows


@dataclass(frozen=True, slots=True)
class FloorFacts:
    """
    The floor of the code at hand, and what it meets in a database.
    """

    kind: str
    #: The lowest version that the code reads.
    floor: int
    #: The version of rows without a tag, with which every kind begins.
    baseline: int
    record: FloorState
    rows: StoredRows

    @property
    def to_be_initialised(self) -> bool:
        """
        Whether the floor of the code is to be recorded: nothing is stored, and nobody has settled one.
        """
        return (
            self.floor > self.baseline
            and self.record.floor is None
            and self.record.retiring is None
            and self.rows.lowest is None
            and not self.rows.unreadable
        )


def floor_mismatch(facts: FloorFacts) -> Iterator[Blocker]:
    """
    Give what keeps code from being used although it would fit the fleet: rows that it cannot read, or may meet.

    | recorded floor | rows | |
    |---|---|---|
    | at or above that of the code | none below it | may be used |
    | the same | below it | refused: somebody stored or restored them |
    | below that of the code | any, or none | refused: retirement was not carried out here |
    | none | none below, and the code reads the baseline | may be used |
    | none | none | may be used, and is recorded |
    | none | some, none below, or none that anybody can read | refused: nobody has proved that none can come |
    """
    kind, floor, recorded, lowest = facts.kind, facts.floor, facts.record.floor, facts.rows.lowest
    if lowest is not None and lowest < floor:
        words = f"{kind} is stored at version {lowest}, which lies below the floor {floor}"
        yield Blocker(Cause.FLOOR_ABOVE_ROWS, kind, words, {"row": lowest, "floor": floor})
    if recorded is not None and recorded < floor:
        words = f"the recorded floor of {kind} is {recorded}, and this code reads version {floor} and above only"
        yield Blocker(Cause.FLOOR_ABOVE_RECORD, kind, words, {"recorded": recorded, "floor": floor})
    elif recorded is None and facts.baseline < floor and (floor <= (lowest or 0) or facts.rows.unreadable):
        words = f"no floor of {kind} is recorded, and this code reads version {floor} and above only"
        yield Blocker(Cause.FLOOR_ABOVE_RECORD, kind, words, {"recorded": None, "floor": floor})
