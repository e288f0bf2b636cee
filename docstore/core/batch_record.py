"""
What is recorded of a batch, as values.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from docstore.core.id_range import BEGINNING, IdRange
from docstore.core.record_format import BATCH
from docstore.core.run_record import RunRecord, Stored
from docstore.core.run_state import RunState


class BatchState:
    """
    What is happening to a batch.
    """

    #: Somebody works on it until its lease runs out.
    LEASED: Final = "leased"
    #: Nobody works on it: it was given back, is to be tried again, or is the half of another.
    WAITING: Final = "waiting"
    DONE: Final = "done"
    #: It was tried in vain too often; its rows are left to the next pass.
    FAILED: Final = "failed"
    #: Two others have taken its place.
    SPLIT: Final = "split"


#: Batches of rows, or the counting that ends a pass.
Task: TypeAlias = Literal["rows", "count"]


@dataclass(frozen=True, slots=True)
class Tally:
    """
    What a batch, or a whole run, did: rows by what became of them.
    """

    server: int = 0
    client: int = 0
    conflicts: int = 0
    quarantined: int = 0
    #: Rows that others changed at every try; the next pass takes them.
    contested: int = 0
    #: Rows that needed nothing.
    untouched: int = 0

    @property
    def met(self) -> int:
        """
        How many rows the batch has met.
        """
        return self.server + self.client + self.quarantined + self.contested + self.untouched


@dataclass(frozen=True, slots=True)
class RunTotals:
    """
    What the batches of a run did, and how many there are.
    """

    tally: Tally
    done: int
    failed: int
    open: int

    def left_of(self, run: RunRecord) -> int | None:
        """
        Return how many rows are left, as far as the counters tell; None while nobody has looked.
        """
        if run.state is RunState.SUCCEEDED or run.sources is None:
            return run.remaining
        return max(run.total - self.tally.server - self.tally.client - self.tally.quarantined, 0)


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """
    One batch as it stands in `docstore_batches`, claimed by whoever holds the record.
    """

    run: str
    seq: int
    #: Which half of which half it is, if it was split off: "", "0", "1", "01", ...
    part: str
    task: Task
    number_of_pass: int
    version: int | None
    range: IdRange
    #: How many rows it held when it was claimed first.
    size: int
    #: Fences off whoever held the batch before.
    token: int
    #: How often it failed.
    tries: int
    #: Where it is being split.
    split_at: Any = field(default=BEGINNING)
    #: How often it was claimed again because a lease had run out; halves inherit it.
    lost: int = 0
    #: How often that happened to a worker that worked on nothing else; from anew when one row is left.
    deaths: int = 0

    @property
    def is_suspected(self) -> bool:
        """
        Whether a worker may have died because of it.
        """
        return self.lost > 0

    @property
    def key(self) -> Stored:
        """
        The batch's `_id`.
        """
        return {"run": self.run, "seq": self.seq, "part": self.part}

    @classmethod
    def of(cls, stored: Stored) -> "BatchRecord":
        """
        Return what a document of `docstore_batches` says.

        Raises:
            RecordFormatError: It has a format that this release does not know.
        """
        BATCH.check("batch {run}/{seq}{part}".format(**stored["_id"]), stored)
        return cls(
            run=stored["_id"]["run"],
            seq=stored["_id"]["seq"],
            part=stored["_id"]["part"],
            task=stored["task"],
            number_of_pass=stored["pass"],
            version=stored["version"],
            range=IdRange.of(stored["range"]),
            size=stored["size"],
            token=stored["token"],
            tries=stored["tries"],
            split_at=stored["split"]["at"] if "split" in stored else BEGINNING,
            lost=stored.get("lost", 0),
            deaths=stored.get("deaths", 0),
        )
