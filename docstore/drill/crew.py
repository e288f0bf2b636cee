"""
Everybody who writes during a drill: nodes of both releases, which come, pause, and go.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from docstore.drill.journal import Entry, read_journal
from docstore.drill.node_order import NodeOrder, NodeReport
from docstore.drill.nodes import NodeProcess


@dataclass(frozen=True, slots=True)
class Crew:
    """
    What nodes of one release have in common.
    """

    name: str
    order: NodeOrder
    nodes: int


class Release:
    """
    The nodes of one release. An async context manager; at its end no process of it is left.

    Args:
        crew: What they are.
        folder: Where their journals are.
        seed: Makes their choices, and the ids that they make up, unlike those of others.
        phase: Tells what the drill is about, for errors.
    """

    def __init__(self, crew: Crew, folder: Path, *, seed: int, phase: Callable[[], str]) -> None:
        self._crew = crew
        self._folder = folder
        self._seed = seed
        self._phase = phase
        self._stack = AsyncExitStack()
        self._all: list[NodeProcess] = []
        self._there: list[NodeProcess] = []

    async def start(self) -> None:
        """
        Start the nodes; they join the fleet, and wait for `resume`.
        """
        began = len(self._all)
        for number in range(began, began + self._crew.nodes):
            name = f"{self._crew.name}-{number + 1}"
            order = self._crew.order.model_copy(
                update={"instance": name, "journal": self._folder / f"{name}.jsonl", "seed": self._seed + number}
            )
            node = NodeProcess(order, phase=self._phase)
            await self._stack.enter_async_context(node)
            self._all.append(node)
            self._there.append(node)

    async def resume(self) -> None:
        """
        Have all of them write.
        """
        await _together(node.resume() for node in self._there)

    async def pause(self) -> None:
        """
        Return when none of them writes any more.
        """
        await _together(node.pause() for node in self._there)

    async def stop(self) -> None:
        """
        Have all of them leave the fleet in good order. Idempotent.
        """
        there, self._there = self._there, []
        await _together(node.stop() for node in there)

    @property
    def there(self) -> bool:
        """
        Whether it has nodes in the fleet.
        """
        return bool(self._there)

    @property
    def latest(self) -> int:
        """
        The version with which the release ends, as its nodes say.
        """
        return self._all[0].report.latest

    def reports(self) -> list[NodeReport]:
        """
        Return how all of its nodes stand, those that are gone too.
        """
        return [node.report for node in self._all]

    def writes(self) -> int:
        """
        Return how many writes were acknowledged to them so far.
        """
        return sum(report.writes for report in self.reports())

    def entries(self) -> list[Entry]:
        """
        Return everything that they have written down.
        """
        return [entry for node in self._all for entry in read_journal(node.order.journal)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()


async def _together(doing: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for each in doing:
            tasks.create_task(each)
