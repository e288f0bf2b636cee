"""
What somebody who runs a database should know of it, as values: ages, rows that stay behind, who is there.
"""

import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from docstore.core.coverage import Coverage
from docstore.core.direction import Direction
from docstore.core.fleet_facts import Fleet
from docstore.core.kind import Kind

#: Whether a node counts, as a word: it does, it asks for admission, or it vanished and nobody has taken its place.
ALIVE: Final = "alive"
WAITING: Final = "waiting"
DEAD: Final = "dead"


@dataclass(frozen=True, slots=True)
class KindSurvey:
    """
    How one kind stands.
    """

    #: Rows in quarantine.
    quarantined: int
    #: Rows that the last run should have rewritten, and that came after it; None where no finished run says anything.
    behind: int | None = None
    #: Since when a rollout is open; None where none is.
    rollout_since: datetime.datetime | None = None
    #: What nodes store; None before any node has worked with the kind.
    write_version: int | None = None
    #: How far the latest versions of live nodes are apart; None where there is no node.
    span: int | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """
    How a database stood at one moment.
    """

    #: When, by the clock of whoever looked.
    at: datetime.datetime
    kinds: Mapping[str, KindSurvey] = field(default_factory=dict)
    #: When each knob was turned last that is in use.
    knobs: Mapping[str, datetime.datetime] = field(default_factory=dict)
    #: Nodes by service and word.
    nodes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: Since when nobody can advance anything; None where everybody can.
    frozen_since: datetime.datetime | None = None


def nodes_by_life(fleet: Fleet) -> dict[tuple[str, str], int]:
    """
    Return how many nodes each service has, by whether they count.
    """
    unclean = {node.id for node in fleet.unclean()}
    counts: Counter[tuple[str, str]] = Counter()
    for node in fleet.nodes:
        # What has to go to 0 has to be there.
        counts.update({(node.service, word): 0 for word in (ALIVE, WAITING, DEAD)})
        if node.alive:
            counts[node.service, ALIVE] += 1
        elif node.id in unclean:
            counts[node.service, DEAD] += 1
        elif not node.admitted and node.silent < node.dead_after:
            counts[node.service, WAITING] += 1
    return dict(counts)


def span_of_latest(fleet: Fleet, kind: str) -> int | None:
    """
    Return how far the latest versions of a kind's live nodes are apart (P7: one at most); None where there are none.
    """
    latest = [node.kinds[kind].latest for node in fleet.live(kind)]
    return max(latest) - min(latest) if latest else None


def rows_behind(kind: Kind[Any], coverage: Coverage, *, target: int, direction: Direction) -> int:
    """
    Return how many rows a run to *target* should have left nowhere but there, and which are not put aside.

    Rows whose tag is no version, and untagged ones whose version only `detect` could tell, say nothing and are left
    out.

    Args:
        kind: Whose rows.
        coverage: Where they stand, at least on the run's side of the target.
        target: The target of the run that has ended.
        direction: Where it took rows.
    """
    if direction is Direction.ADOPT:
        return max(coverage.untagged - coverage.quarantined, 0)
    up = direction is Direction.UP
    behind = sum(
        count.rows for count in coverage.versions if (count.version < target if up else count.version > target)
    )
    if kind.detect is None and (kind.baseline < target if up else kind.baseline > target):
        behind += coverage.untagged
    return max(behind - coverage.quarantined, 0)
