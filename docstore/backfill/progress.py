"""How far a run is: counted while it goes on, told to whoever wants to show it, summed up at its end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

from docstore.backfill.selection_status import SelectionStatus
from docstore.core.direction import Direction
from docstore.core.run_state import RunState


class Phase(StrEnum):
    """What a run is doing."""

    #: The (tag, `_id`) index is being built; nothing is known yet.
    INDEX = "index"
    #: Rows are being rewritten.
    REWRITE = "rewrite"
    #: What is left is being counted.
    COUNT = "count"


class Path(StrEnum):
    """Where rows are upgraded."""

    #: Inside the server, by one update pipeline.
    SERVER = "server"
    #: In Python, written back under the guard.
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """What a run has done so far."""

    phase: Phase = Phase.COUNT
    #: Rows that were to be done when the run began; others may have come since.
    total: int = 0
    #: Rows rewritten inside the server.
    server: int = 0
    #: Rows rewritten by the client.
    client: int = 0
    #: Rows put aside in this pass over the collection.
    quarantined: int = 0
    #: Times a row had changed between reading and writing, and was read again.
    conflicts: int = 0
    #: Where the rows at hand are upgraded, and their version (None: untagged).
    path: Path | None = None
    version: int | None = None
    #: Rows that need no more work thanks to other processes, or to earlier ones.
    others: int = 0
    #: Why the run holds back; empty at full speed.
    hold: str = ""

    @property
    def rewritten(self) -> int:
        """Rows rewritten on either path."""
        return self.server + self.client

    @property
    def done(self) -> int:
        """Rows that need no more work, as far as this run can help them."""
        return self.rewritten + self.quarantined + self.others


#: Told after every batch, from the event loop of the run; it should return at once.
OnProgress: TypeAlias = Callable[[BackfillProgress], None]


class Meter:
    """
    Keeps the counts of one run, or of one batch of it, and tells them.

    Args:
        on_progress: Told after every change.
        whole: Counts what is counted here too.
    """

    def __init__(self, on_progress: OnProgress | None = None, *, whole: "Meter | None" = None) -> None:
        self._on_progress = on_progress
        self._whole = whole
        self.now = BackfillProgress()

    def set(
        self,
        *,
        phase: Phase | None = None,
        total: int | None = None,
        path: Path | None = None,
        version: int | None = None,
    ) -> None:
        """Say what is going on from here."""
        self.now = replace(
            self.now,
            phase=phase or self.now.phase,
            total=self.now.total if total is None else total,
            path=path,
            version=version,
        )
        self._tell()
        if self._whole is not None:
            self._whole.set(phase=phase, total=total, path=path, version=version)

    def add(self, *, server: int = 0, client: int = 0, quarantined: int = 0, conflicts: int = 0) -> None:
        """Count what a batch did."""
        self.now = replace(
            self.now,
            server=self.now.server + server,
            client=self.now.client + client,
            quarantined=self.now.quarantined + quarantined,
            conflicts=self.now.conflicts + conflicts,
        )
        self._tell()
        if self._whole is not None:
            self._whole.add(server=server, client=client, quarantined=quarantined, conflicts=conflicts)

    def hold(self, reason: str) -> None:
        """
        Say why the run holds back, or "" that it does not.
        """
        self.now = replace(self.now, hold=reason)
        self._tell()

    def others(self, done: int, *, total: int) -> None:
        """
        Say what others have done, and how many rows there were to be done.
        """
        self.now = replace(self.now, others=done, total=total)
        self._tell()

    def begin_pass(self) -> None:
        """Forget the rows that were put aside: the next pass meets them again."""
        self.now = replace(self.now, quarantined=0)

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.now)


class BackfillResult(BaseModel):
    """What this process did in a run, how the run stands, and what is left."""

    model_config = ConfigDict(frozen=True)

    kind: str
    #: The version that rows were brought to, and from where.
    target: int
    direction: Direction
    #: The state of the run, and why it is in it.
    state: RunState
    reason: str
    #: Rows rewritten inside the server, and by the client.
    server: int
    client: int
    #: Times a row had changed between reading and writing, and was read again.
    conflicts: int
    #: Rows that could not be upgraded, whichever process found them. They are as they were, with a record each in
    #: `docstore_quarantine`.
    quarantined: int
    #: Rows that still stand on that side of the target (or have no tag), the quarantined ones among them.
    remaining: int
    #: Rows above latest, which a way down left where they are, because this code does not know their version.
    newer: int
    #: Passes over the old rows, by whichever process.
    passes: int
    #: How long this process took.
    seconds: float
    #: Whether the run built the (tag, `_id`) index.
    index_built: bool
    #: Whether it was asked to stop before its end.
    interrupted: bool
    #: Rows that other processes have rewritten in the run, before and beside this one.
    others: int = 0
    #: The rows that the run is limited to; null if it is about every row.
    selection: SelectionStatus | None = None

    @property
    def complete(self) -> bool:
        """
        Whether every row that the run is about stands at the target or beyond it.
        """
        return not self.remaining and not self.newer and not self.interrupted
