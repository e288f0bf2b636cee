"""
What `docstore coverage` was asked to count.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from docstore import commands
from docstore.cli.complaints import note
from docstore.cli.running import Workplace
from docstore.commands import CoverageResult, RemainingResult
from docstore.core.kind import Kind

#: All rows were counted, or what stands below latest.
Results: TypeAlias = Sequence[CoverageResult] | Sequence[RemainingResult]


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What was typed.
    """

    kind: str | None
    require: int | None
    remaining: bool
    majority: bool
    record: bool
    create_index: bool

    def kinds(self, place: Workplace) -> list[Kind[Any]]:
        """
        Return the kinds that are meant.
        """
        return list(place.kinds.values()) if self.kind is None else [place.kind(self.kind)]

    async def counted(self, place: Workplace) -> Results:
        """
        Count.

        Raises:
            DocstoreError: As the commands raise it.
        """
        count: Callable[..., Awaitable[Results]] = commands.remaining if self.remaining else commands.coverage
        return await count(
            place.database,
            self.kinds(place),
            require=self.require,
            create_index=self.create_index,
            on_index_build=_say_building,
            majority=self.majority,
            record=self.record,
        )


def _say_building(kind: str) -> None:
    note(f"building the (tag, _id) index of {kind}; on a large collection this takes a while ...")
