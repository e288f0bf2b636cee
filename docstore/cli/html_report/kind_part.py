"""
What the page says of one kind.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from docstore.backfill.quarantine_reasons import QuarantineReason
from docstore.cli.coverage_table import share
from docstore.cli.durations import span
from docstore.cli.html_report.bands import bands_of
from docstore.cli.html_report.bar import Segment, segments
from docstore.cli.html_report.floor_facts import Fact, floor_facts
from docstore.cli.html_report.history import History, history_of, with_now
from docstore.cli.next_commands import NextCommand, next_commands
from docstore.cli.rollout_table import rollout_facts
from docstore.cli.row_words import some_rows
from docstore.cli.run_table import run_facts
from docstore.cli.run_words import aim
from docstore.commands import KindReport
from docstore.core.coverage import Coverage
from docstore.core.fence_state import FenceState
from docstore.core.run_state import OPEN


@dataclass(frozen=True, slots=True)
class VersionRow:
    """
    One line of the table of versions.
    """

    style: str
    label: str
    rows: int
    share: str
    #: Percent.
    width: float


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How far a run has come.
    """

    heading: str
    state: str
    #: Percent of its rows; None where it has none.
    done: float | None
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class KindPart:
    """
    The part of the page about one kind.
    """

    #: What its elements' ids begin with; names hold anything.
    id: str
    name: str
    tag: str
    report: Coverage
    at_latest: str
    #: How it stands, in two sentences.
    summary: str
    state: str
    segments: tuple[Segment, ...]
    #: What the bar shows, in a sentence.
    spread: str
    versions: tuple[VersionRow, ...]
    #: What is to be said of these rows besides.
    remarks: tuple[str, ...]
    history: History | None
    rollout: tuple[Fact, ...]
    run: Progress | None
    quarantine: tuple[QuarantineReason, ...]
    floor: tuple[Fact, ...]
    next: tuple[NextCommand, ...]
    #: What there is not, in a sentence; empty if there is everything.
    absent: str


def kind_part(found: KindReport, *, id: str) -> KindPart:
    """
    Return what the page says of a kind.
    """
    report = found.counted.report
    samples = with_now(found.history, report)
    bands = bands_of(report, {version for sample in samples for version, rows in sample.versions if rows})
    parts = tuple(segments(report, bands))
    styles = {version: band.style for band in bands for version in band.versions}
    history = history_of(samples, bands, latest=report.latest)
    return KindPart(
        id=id,
        name=found.name,
        tag=found.tag,
        report=report,
        at_latest=share(report.coverage),
        summary=f"{_rows(report)} {_versions_read(report)}",
        state="no rollout yet" if found.rollout is None else str(found.rollout.state).replace("_", " "),
        segments=parts,
        spread="; ".join(f"{part.label}: {part.rows:,} rows, {part.share}" for part in parts) or "no rows",
        versions=tuple(_versions(report, styles)),
        remarks=tuple(_remarks(report)),
        history=history,
        rollout=() if found.rollout is None else tuple(Fact(*each) for each in rollout_facts(found.rollout)),
        run=_run(found),
        quarantine=found.quarantine,
        floor=tuple(floor_facts(found)),
        next=tuple(next_commands(found)),
        absent=_absent(found, history),
    )


def _rows(report: Coverage) -> str:
    if not report.total:
        return f"No rows in {report.collection} yet."
    return f"{some_rows(report.total)} in {report.collection}, {share(report.coverage)} at version {report.latest}."


def _versions_read(report: Coverage) -> str:
    one = report.floor == report.latest
    reads = f"version {report.latest} alone" if one else f"versions {report.floor} to {report.latest}"
    stored = "" if report.write_version is None else f"; rows are stored at version {report.write_version}"
    return f"The code reads {reads}{stored}."


def _absent(found: KindReport, history: History | None) -> str:
    absent = {
        "history before this count": history is None,
        "node that has worked with it": found.rollout is None,
        "run": found.run is None,
        "row in quarantine": not found.quarantine,
        "recorded floor or fence": found.floor is None and found.fence is FenceState.NONE,
    }
    words = [f"no {what}" for what, is_so in absent.items() if is_so]
    return f"There is {', '.join(words)}." if words else ""


def _versions(report: Coverage, styles: dict[int, str]) -> Iterator[VersionRow]:
    total = report.total or 1
    for count in report.versions:
        yield _row(styles[count.version], _label(report, count.version), count.rows, total)
    if report.untagged:
        yield _row("untagged", "no tag", report.untagged, total)
    if report.unreadable:
        yield _row("unreadable", "unreadable tag", report.unreadable, total)


def _remarks(report: Coverage) -> Iterator[str]:
    if report.oldest_below is not None:
        oldest = report.oldest_below
        age = span(max(0.0, (report.counted_at - oldest.created).total_seconds()))
        yield f"The oldest row below version {report.latest} was made {age} ago, and is at version {oldest.version}."
    if report.doubles:
        yield f"{some_rows(report.doubles)} among these have a double as tag, which a fence does not let in."
    if not report.exact:
        yield "Not of one moment: the server is no replica set, so rows may have moved while they were counted."


def _label(report: Coverage, version: int) -> str:
    remarks = []
    if version == report.latest:
        remarks.append("latest")
    if version > report.latest:
        remarks.append("newer")
    if version < report.floor:
        remarks.append("below the floor")
    if version == report.write_version:
        remarks.append("stored now")
    return f"{version} ({', '.join(remarks)})" if remarks else str(version)


def _row(style: str, label: str, rows: int, total: int) -> VersionRow:
    return VersionRow(style, label, rows, share(rows / total), round(100 * rows / total, 3))


def _run(found: KindReport) -> Progress | None:
    run = found.run
    if run is None:
        return None
    percent = round(min(100.0, 100 * run.done / run.total), 1) if run.total else None
    heading = f"{'Run' if run.state in OPEN else 'Last run'} {aim(run.direction, run.target)}"
    return Progress(heading, str(run.state), percent, tuple(Fact(*each) for each in run_facts(run)))
