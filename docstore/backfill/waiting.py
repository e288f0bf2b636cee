"""
What a worker's calls wait for, so that no wait is a silent one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

#: The waits of whoever is at work in this context; tasks that are started there have the same.
_AT_HAND: Final[ContextVar["Waits | None"]] = ContextVar("waits", default=None)


class Waits:
    """
    The calls that are being made again because the database does not take them, each with the reason.
    """

    def __init__(self) -> None:
        self._reasons: dict[object, str] = {}

    @property
    def reason(self) -> str:
        """
        What the call waits for that began to wait last; empty if none waits.
        """
        return next(reversed(self._reasons.values()), "")

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """
        Have the calls of this context, and of tasks that are started in it, say here what they wait for.
        """
        before = _AT_HAND.set(self)
        try:
            yield
        finally:
            _AT_HAND.reset(before)

    def put(self, call: object, reason: str) -> None:
        """
        Say that a call waits.
        """
        self._reasons[call] = reason

    def remove(self, call: object) -> None:
        """
        Say that a call does not wait any more; idempotent.
        """
        self._reasons.pop(call, None)


def waits_at_hand() -> Waits:
    """
    Return where calls of this context say what they wait for; nobody reads it outside of a worker.
    """
    return _AT_HAND.get() or Waits()
