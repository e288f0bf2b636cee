"""
What a drill has shown, for people and programs; nothing in it is a value of a row.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel, ConfigDict

from docstore.drill.comparing import Comparison, FaultKind
from docstore.drill.node_order import NodeReport

_FROZEN: Final = ConfigDict(frozen=True)
#: Faults that are named one by one.
MOST_FAULTS: Final = 50


class PhaseReport(BaseModel):
    """
    One part of a drill.
    """

    model_config = _FROZEN

    #: What was done, such as "advance".
    name: str
    #: In so many words.
    text: str
    seconds: float
    #: How the rollout stood at its end, and what was stored by then.
    state: str
    write_version: int
    #: Acknowledged writes of each release during it.
    old_writes: int
    new_writes: int


class FaultReport(BaseModel):
    """
    Something that must not be.
    """

    model_config = _FROZEN

    fault: FaultKind
    #: As Extended JSON.
    id: str
    path: str
    #: After which phase it was found.
    found_after: str


class CheckReport(BaseModel):
    """
    All rows held against all acknowledged writes, once.
    """

    model_config = _FROZEN

    after: str
    rows: int
    writes: int
    faults: int
    #: Rows whose fields could not be compared, because the outcome of a write is not known.
    uncertain: int


class ReleaseReport(BaseModel):
    """
    What the nodes of one release did.
    """

    model_config = _FROZEN

    latest: int
    nodes: int
    writes: int
    reads: int
    conflicts: int
    doubtful: int
    #: Writes that were refused by name, by the class of the error.
    refused: dict[str, int]


class DrillReport(BaseModel):
    """
    A drill from its beginning to its end.
    """

    model_config = _FROZEN

    kind: str
    #: The versions that the two releases end with.
    old_version: int
    new_version: int
    #: Which release the old one was, in words.
    old_release: str
    #: Where the rows came from, in words, and how many there were at the beginning.
    rows_from: str
    rows: int
    #: Rows that were left out because they cannot be read, or not be brought down and up again.
    left_out: int
    #: Whether nodes of the old release were there while rows were stored at the new version.
    together: bool
    old: ReleaseReport
    new: ReleaseReport
    phases: tuple[PhaseReport, ...]
    checks: tuple[CheckReport, ...]
    #: The first of them; `fault_count` says how many there are.
    faults: tuple[FaultReport, ...]
    fault_count: int
    passed: bool
    #: The database that was kept, where one was.
    kept: str | None = None
    #: The folder with the journals, where they were kept.
    journals: str | None = None


def release_report(latest: int, nodes: Iterable[NodeReport]) -> ReleaseReport:
    """
    Return what the nodes of a release did together.
    """
    reports = list(nodes)
    refused: Counter[str] = Counter()
    for report in reports:
        refused.update(report.refused)
    return ReleaseReport(
        latest=latest,
        nodes=len(reports),
        writes=sum(report.writes for report in reports),
        reads=sum(report.reads for report in reports),
        conflicts=sum(report.conflicts for report in reports),
        doubtful=sum(report.doubtful for report in reports),
        refused=dict(sorted(refused.items())),
    )


def faults_of(checks: Iterable[tuple[str, Comparison]]) -> list[FaultReport]:
    """
    Return the faults of all checks, each once: where it was found first.
    """
    found: dict[tuple[FaultKind, str, str], FaultReport] = {}
    for after, comparison in checks:
        for fault in comparison.faults:
            key = (fault.kind, fault.id, fault.path)
            found.setdefault(key, FaultReport(fault=fault.kind, id=fault.id, path=fault.path, found_after=after))
    return list(found.values())
