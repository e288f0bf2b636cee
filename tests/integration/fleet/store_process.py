"""
A store as a process: it can be paused, its writes can be held at the door of the server, and its time can be moved on.

Nothing here waits for time to pass. A process that is silent for a minute is one whose clock and whose record were
moved by a minute, so that no slow machine makes anybody seem dead.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final, TypeVar

import pytest

from docstore import Store
from docstore.errors import StoreError
from docstore.fleet.node import Node
from docstore.mongo.server_writing import ServerRowWriter
from tests.integration.fleet.conftest import move_clock, move_record, vanish

T = TypeVar("T")

#: Far longer than any machine hangs. Nodes hear of changes by their streams.
BEAT: Final = 2.0
DEAD_AFTER: Final = 300.0


class Door:
    """
    Where a write waits that was decided and is on its way to the server.
    """

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()


#: The door that the current write has to pass.
DOOR: Final[ContextVar[Door | None]] = ContextVar("DOOR", default=None)


def with_doors(patch: pytest.MonkeyPatch) -> None:
    """
    Have the writes of stores stop at their doors; those in transactions do not, as they would hold up all others.
    """
    for name in ("insert", "rewrite", "update", "overwrite"):
        patch.setattr(ServerRowWriter, name, _behind_a_door(getattr(ServerRowWriter, name)))


def _behind_a_door(write: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    @wraps(write)
    async def waiting(*arguments: Any, **options: Any) -> T:
        door = DOOR.get()
        if door is not None and options.get("session") is None:
            door.reached.set()
            await door.opened.wait()
        return await write(*arguments, **options)

    return waiting


@dataclass(eq=False)
class Process:
    """
    A store that has joined, and the release that it is of.
    """

    latest: int
    floor: int
    kind: Any
    store: Store
    #: Whether it goes on although it was refused: the promises are not made to it.
    warns: bool = False
    hanging: bool = False
    held: list[tuple[Door, asyncio.Task[None]]] = field(default_factory=list)

    @property
    def node(self) -> Node:
        member = self.store._member
        assert isinstance(member, Node)
        return member

    async def hang(self, database: Any, seconds: float) -> None:
        """
        Send no heartbeat any more, and hear of nothing; then let time pass, which it notices before others do.
        """
        self.hanging = True
        vanish(self.node)
        await asyncio.gather(*self.node._tasks, return_exceptions=True)
        move_clock(self.node, seconds)
        self.store._gate._writes.look()
        await move_record(database, self.node, seconds)

    async def come_back(self) -> None:
        """
        Go on with the heartbeats, with the first of them at once.
        """
        self.hanging = False
        self.node._tasks.append(asyncio.create_task(self._beat_and_live()))

    async def _beat_and_live(self) -> None:
        with suppress(StoreError):
            await self.node._look_and_beat()
        await self.node._live()

    async def hold(self, write: Callable[[], Awaitable[None]]) -> None:
        """
        Have a write decided, and stopped before it is sent.
        """
        door = Door()

        async def through() -> None:
            DOOR.set(door)
            await write()

        task = asyncio.create_task(through())
        reached = asyncio.create_task(door.reached.wait())
        await asyncio.wait({task, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        self.held.append((door, task))

    async def let_go(self) -> None:
        """
        Have the writes that were held arrive.
        """
        held, self.held = self.held, []
        for door, _ in held:
            door.opened.set()
        await asyncio.gather(*(task for _, task in held))

    async def drop(self) -> None:
        """
        Lose the writes that were held, as a process does that is killed.
        """
        held, self.held = self.held, []
        for _, task in held:
            task.cancel()
        await asyncio.gather(*(task for _, task in held), return_exceptions=True)
