"""
Collections whose write version a test holds in its hand, without a fleet.
"""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from docstore import Document, Kind
from docstore.core.write_version import ControlState
from docstore.fleet.in_flight import Session
from docstore.fleet.membership import Alone
from docstore.store.collection import Collection
from docstore.store.gate import WriteGate

D = TypeVar("D", bound=Document)


class Pinned(Alone):
    """
    A node that stores what its `state` says, whoever else there is.
    """

    def __init__(self, kind: Kind[Any], write_version: int) -> None:
        super().__init__([kind])
        self.state = ControlState(kind.name, write_version, 0)

    def writing(self, kind: str, session: Session | None = None) -> AbstractContextManager[ControlState]:
        """
        Return a context that gives the state of the moment.
        """
        del kind, session
        return nullcontext(self.state)


async def at_once(tries: int) -> None:
    """
    Try again without a pause.
    """
    del tries
    await asyncio.sleep(0)


def pinned(database: Any, kind: Kind[D], write_version: int, *, member: Pinned | None = None) -> Collection[D]:
    """
    Return the rows of a kind, written at a version.
    """
    gate = WriteGate(member or Pinned(kind, write_version), "tests")
    return Collection(database, kind, gate=gate, pause=at_once, kinds=[kind])
