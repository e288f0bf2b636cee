"""
Writes that are under way, by the control state that they were decided under.
"""

import weakref
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol

from docstore.core.write_version import ControlState

#: How long a transaction lasts at most, in seconds: the server ends it then (`transactionLifetimeLimitSeconds`).
LONGEST_TRANSACTION: Final = 60.0
#: A kind and an epoch.
_Key = tuple[str, int]


class Session(Protocol):
    """
    A session of any driver.
    """

    @property
    def in_transaction(self) -> bool:
        """
        Whether a transaction is open in it; until it is committed nobody sees what was written.
        """
        ...


class OneWrite:
    """
    The context of one write. A class of its own, because every write enters one.
    """

    __slots__ = ("_control", "_key", "_session", "_writes")

    def __init__(self, writes: "InFlight", control: ControlState, session: Session | None) -> None:
        self._writes = writes
        self._control = control
        self._key = (control.kind, control.epoch)
        self._session = session

    def __enter__(self) -> ControlState:
        self._writes.begin(self._key)
        return self._control

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None and self._session.in_transaction:
            self._writes.wait_for(self._session, self._key)
        self._writes.end(self._key)


class InFlight:
    """
    Counts writes from their decision to their end, which is the end of their transaction if they are in one.

    A node has acknowledged a change only when nothing that it decided before is still on its way to the server.

    Args:
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._writes: Counter[_Key] = Counter()
        #: Sessions whose transactions were written in, and when last; by identity, for those of Motor have no hash.
        self._open: dict[tuple[_Key, int], tuple[weakref.ref[Session], float]] = {}

    def one(self, control: ControlState, session: Session | None = None) -> OneWrite:
        """
        Return the context in which a write counts as under way.
        """
        return OneWrite(self, control, session)

    def begin(self, key: _Key) -> None:
        """
        Count a write.
        """
        self._writes[key] += 1

    def end(self, key: _Key) -> None:
        """
        Count a write no more.
        """
        if self._writes[key] == 1:
            del self._writes[key]
        else:
            self._writes[key] -= 1

    def wait_for(self, session: Session, key: _Key) -> None:
        """
        Take what was decided under a control state for under way until the transaction of a session is over.
        """
        self._open[key, id(session)] = weakref.ref(session), self._clock()

    def acknowledged(self, control: ControlState) -> int:
        """
        Return the epoch that may be acknowledged by a node that works with a control state.
        """
        self._forget_those_that_are_over()
        under_way = {*self._writes, *(key for key, _ in self._open)}
        return min([control.epoch, *(epoch for kind, epoch in under_way if kind == control.kind)])

    def _forget_those_that_are_over(self) -> None:
        # A session that goes on with one transaction after the other may never be seen between two of them.
        oldest = self._clock() - LONGEST_TRANSACTION
        self._open = {
            place: (reference, written)
            for place, (reference, written) in self._open.items()
            if (session := reference()) is not None and session.in_transaction and written > oldest
        }
