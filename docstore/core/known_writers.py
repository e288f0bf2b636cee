"""
Who is known to store rows that a run has to rewrite again and again.
"""

from collections.abc import Iterator

from docstore.core.direction import Direction
from docstore.core.fleet_facts import Fleet


def known_writers(kind: str, fleet: Fleet, *, target: int, direction: Direction) -> Iterator[str]:
    """
    Give the live nodes and declared readers, in words, that store rows short of a run's target; by what they last said.

    Nobody says that he stores rows without a tag, so none is known where rows are to be tagged.
    """
    if direction is Direction.ADOPT:
        return
    for node in fleet.live(kind):
        writes = node.kinds[kind].writes
        if writes is not None and _falls_short(writes, target, direction):
            yield f"{node.name} on {node.host} stores version {writes}"
    for reader in fleet.readers_of(kind):
        if reader.writes is not None and _falls_short(reader.writes, target, direction):
            yield f"{reader.service} (declared by {reader.by}) stores version {reader.writes}"


def _falls_short(writes: int, target: int, direction: Direction) -> bool:
    return writes < target if direction is Direction.UP else writes > target
