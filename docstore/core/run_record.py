"""
What is recorded of a backfill run, as values.
"""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from docstore.core.batch_size import TARGET_SECONDS
from docstore.core.direction import Direction
from docstore.core.id_range import BEGINNING, IdRange
from docstore.core.record_format import RUN, known_fields
from docstore.core.run_state import RunState
from docstore.core.selected_rows import SelectedRows

Stored: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """
    What an operator asks of a run; the first two can be changed while it goes on.
    """

    #: Rows per second over all workers; None stands for no bound.
    rate: float | None = None
    #: How long a batch should take.
    batch_seconds: float = TARGET_SECONDS
    #: How many workers may share the run; None stands for any number.
    workers_max: int | None = None
    #: Keep the texts of errors in quarantine; they can hold values of rows.
    record_error_text: bool = False
    #: Which rows have to fit the model: "all", "sample" or "none"; None stands for all rows that are upgraded in
    #: Python, and a sample of those that the server rewrites.
    validate: str | None = None


@dataclass(frozen=True, slots=True)
class OptionChange:
    """
    An option that has another value for a while.
    """

    #: As in `RunOptions`.
    name: str
    value: float | None
    until: datetime.datetime


@dataclass(frozen=True, slots=True)
class Cursor:
    """
    Where the next range begins.
    """

    #: The number of the last batch.
    seq: int = 0
    #: Which of the run's sources is at hand, by position.
    source: int = 0
    #: The id after which the next range begins.
    after: Any = BEGINNING

    def stored(self) -> Stored:
        """
        Return the cursor as a document.
        """
        return {"seq": self.seq, "source": self.source, **IdRange(after=self.after).stored()}


@dataclass(frozen=True, slots=True)
class Hold:
    """
    Why the system itself keeps a run from going on.
    """

    reason: str
    #: What is known of it, in words.
    detail: str
    since: datetime.datetime
    until: datetime.datetime


@dataclass(frozen=True, slots=True)
class WorkerEntry:
    """
    A process that works on a run, or would if it could.
    """

    id: str
    host: str
    pid: int
    seen: datetime.datetime
    #: Rows per second of its batches, pauses left out; None before the first one.
    rate: float | None = None
    #: Why it does not work on the run; empty if it does.
    note: str = ""
    #: What it waits for, while the database does not take its calls or shows the load; empty at other times.
    waits: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """
    One run as it stands in `docstore_runs`; times are the server's.
    """

    id: str
    kind: str
    collection: str
    target: int
    direction: Direction
    state: RunState
    state_reason: str
    #: As they are at the moment, changes for a while included.
    options: RunOptions
    #: The same without these.
    lasting: RunOptions
    #: The changes for a while that hold at the moment.
    changes: tuple[OptionChange, ...]
    fingerprints: Mapping[str, str]
    #: The rows that it is limited to; None stands for every row.
    selection: SelectedRows | None
    #: The versions that the pass goes through (None: untagged); None before anybody has looked.
    sources: tuple[int | None, ...] | None
    cursor: Cursor
    #: How often the old rows are gone through, this time included.
    number_of_pass: int
    #: Rows that were to be done when the first worker looked.
    total: int
    #: Rows that were left when they were last counted; None before that.
    remaining: int | None
    #: Rows above the latest version of the code, which a way down has left where they are.
    newer: int
    hold: Hold | None
    workers: tuple[WorkerEntry, ...]
    by: str
    created: datetime.datetime
    started: datetime.datetime | None
    ended: datetime.datetime | None
    #: How long at least one worker was at work.
    running_seconds: float
    #: Passes that ended with rows left over that nobody could explain.
    unfinished_passes: int
    #: From which batch on failures are counted.
    failures_from: int
    #: Whether rows had a tag that is no version when the run began; only a count of all rows finds every such row.
    odd_tags: bool
    #: Whether a worker of the run built the (tag, `_id`) index.
    index_built: bool
    #: The ids of rows that killed the workers which took them; nobody takes them again in this run.
    deadly: tuple[Any, ...]
    #: The server's time when the record was read.
    now: datetime.datetime

    @property
    def number(self) -> int:
        """
        Which run of its kind it is, counted from 1.
        """
        return int(self.id.rpartition("-")[2])

    @property
    def held(self) -> Hold | None:
        """
        The hold that is on at the moment.
        """
        return self.hold if self.hold is not None and self.hold.until > self.now else None

    @property
    def source(self) -> int | None:
        """
        The version at hand; ask only while `in_ranges`.
        """
        return (self.sources or ())[self.cursor.source]

    @property
    def in_ranges(self) -> bool:
        """
        Whether the pass has ranges left to claim, as far as is known.
        """
        return self.sources is not None and self.cursor.source < len(self.sources)

    @classmethod
    def of(cls, stored: Stored) -> "RunRecord":
        """
        Return what a document of `docstore_runs`, read with the server's time, says.

        Raises:
            RecordFormatError: It has a format that this release does not know.
        """
        RUN.check(f"run {stored['_id']}", stored)
        cursor, hold, sources, now = stored["cursor"], stored["hold"], stored["sources"], stored["now"]
        changes = tuple(
            OptionChange(**known_fields(OptionChange, change)) for change in stored["changes"] if change["until"] > now
        )
        changed = {change.name: change.value for change in changes}
        return cls(
            id=stored["_id"],
            kind=stored["kind"],
            collection=stored["collection"],
            target=stored["target"],
            direction=Direction(stored["direction"]),
            state=RunState(stored["state"]),
            state_reason=stored["state_reason"],
            options=RunOptions(**known_fields(RunOptions, {**stored["options"], **changed})),
            lasting=RunOptions(**known_fields(RunOptions, stored["options"])),
            changes=changes,
            fingerprints=stored["fingerprints"],
            selection=SelectedRows.of(stored["selection"]),
            sources=None if sources is None else tuple(sources),
            cursor=Cursor(cursor["seq"], cursor["source"], IdRange.of(cursor).after),
            number_of_pass=stored["pass"],
            total=stored["total"],
            remaining=stored["remaining"],
            newer=stored["newer"],
            hold=None if hold is None else Hold(**known_fields(Hold, hold)),
            workers=tuple(WorkerEntry(**known_fields(WorkerEntry, entry)) for entry in stored["workers"]),
            by=stored["by"],
            created=stored["created"],
            started=stored["started"],
            ended=stored["ended"],
            running_seconds=stored["running_seconds"],
            unfinished_passes=stored["unfinished_passes"],
            failures_from=stored["failures_from"],
            odd_tags=stored["odd_tags"],
            index_built=stored["index_built"],
            deadly=tuple(stored.get("deadly", ())),
            now=now,
        )


def new_run(
    *,
    id: str,
    kind: str,
    collection: str,
    target: int,
    direction: Direction,
    options: RunOptions,
    fingerprints: Mapping[str, str],
    selection: SelectedRows | None,
    by: str,
) -> Stored:
    """
    Return the document of a run that has just been asked for, without the times, which are the server's.
    """
    return {
        "_id": id,
        "schema_version": RUN.written,
        "kind": kind,
        "collection": collection,
        "target": target,
        "direction": direction.value,
        "options": asdict(options),
        "changes": [],
        "fingerprints": dict(fingerprints),
        "selection": None if selection is None else asdict(selection),
        "sources": None,
        "cursor": Cursor().stored(),
        "pass": 0,
        "total": 0,
        "remaining": None,
        "newer": 0,
        "hold": None,
        "workers": [],
        "by": by,
        "started": None,
        "ended": None,
        "running_seconds": 0.0,
        "beat": None,
        "unfinished_passes": 0,
        "odd_tags": False,
        "index_built": False,
        "deadly": [],
        "failures_from": 0,
    }
