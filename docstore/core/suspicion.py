"""
What becomes of a batch whose workers died: a row that kills them has to be found, and an innocent one spared.

A worker that is killed says nothing, so all that is known is which leases ran out. A process dies with everything that
it holds, so one death accuses many rows; and machines are switched off for reasons of their own. Therefore a batch
whose lease ran out is worked on alone from then on, deaths count against it only while it was, and halving it costs
nobody anything: only a row that was alone with its worker each time can be put aside.
"""

from enum import Enum
from typing import Final

from docstore.core.batch_record import BatchRecord

#: How often a lease runs out before a batch is halved. A half is halved at its first death.
LOSSES: Final = 3
#: How many workers have to die over one row, each with nothing else in its hands.
DEATHS: Final = 3


class Course(Enum):
    """
    How to go on with a batch.
    """

    #: Work on it, alone.
    TRY = "try"
    #: Put its halves in its place.
    HALVE = "halve"
    #: Put its one row aside.
    PUT_ASIDE = "put aside"


def course_of(batch: BatchRecord, *, rows: int) -> Course:
    """
    Return how to go on with a batch of which so many rows are left.
    """
    if rows > 1 and batch.lost >= LOSSES and batch.deaths:
        return Course.HALVE
    if rows == 1 and batch.deaths >= DEATHS:
        return Course.PUT_ASIDE
    return Course.TRY
