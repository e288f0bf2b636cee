"""
What a drill has shown, as people read it.
"""

from collections.abc import Iterator

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from docstore.cli.options import Format
from docstore.drill.report import DrillReport, FaultReport, ReleaseReport


def show_drill(report: DrillReport, format: Format) -> None:
    """
    Write the report to stdout.
    """
    if format is Format.JSON:
        typer.echo(report.model_dump_json())
        return
    parts: list[RenderableType] = [_heading(report), _phases(report), *_facts(report)]
    if report.faults:
        parts.append(_faults(report))
    Console(highlight=False).print(Group(*parts, _verdict(report)))


def _heading(report: DrillReport) -> Text:
    text = (
        f": from version {report.old_version} to {report.new_version} and back, with {report.rows:,} rows "
        f"({report.rows_from})"
    )
    return Text.assemble((report.kind, "bold"), text)


def _phases(report: DrillReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("phase", "state"):
        table.add_column(title)
    for title in ("stored", "seconds", "old writes", "new writes"):
        table.add_column(title, justify="right")
    for phase in report.phases:
        table.add_row(
            phase.name,
            phase.state,
            str(phase.write_version),
            f"{phase.seconds:.1f}",
            f"{phase.old_writes:,}",
            f"{phase.new_writes:,}",
        )
    return table


def _facts(report: DrillReport) -> Iterator[Text]:
    yield Text(f"old release: {report.old_release}; {_work(report.old)}")
    yield Text(f"new release: {_work(report.new)}")
    if not report.together:
        yield Text(
            f"The old release cannot read version {report.new_version}: its nodes were stopped before each flip.",
            "yellow",
        )
    if report.left_out:
        yield Text(
            f"{report.left_out:,} rows were left out: they cannot be read, or not be brought down and up.", "yellow"
        )
    for check in report.checks:
        uncertain = f", {check.uncertain:,} rows with a write of unknown outcome" if check.uncertain else ""
        yield Text(
            f"after {check.after}: {check.rows:,} rows held against {check.writes:,} acknowledged writes, "
            f"{check.faults:,} faults{uncertain}"
        )
    if report.journals is not None:
        yield Text(f"kept: journals in {report.journals}" + (f", database {report.kept}" if report.kept else ""))


def _work(release: ReleaseReport) -> str:
    refused = ", ".join(f"{number:,} {name}" for name, number in release.refused.items())
    said = f"; refused by name: {refused}" if refused else ""
    doubtful = f", {release.doubtful:,} of unknown outcome" if release.doubtful else ""
    nodes = "1 node" if release.nodes == 1 else f"{release.nodes} nodes"
    return (
        f"{nodes}, {release.writes:,} writes{doubtful}, {release.reads:,} reads, {release.conflicts:,} conflicts{said}"
    )


def _faults(report: DrillReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("fault", "_id", "where", "found after"):
        table.add_column(title, overflow="fold")
    for fault in report.faults:
        table.add_row(*_fault(fault))
    return table


def _fault(fault: FaultReport) -> tuple[str, str, str, str]:
    return str(fault.fault), fault.id, fault.path, fault.found_after


def _verdict(report: DrillReport) -> Text:
    if report.passed:
        return Text("Nothing was lost, stripped, or stored where somebody cannot read it.", "bold green")
    shown = f", {len(report.faults)} of them shown" if report.fault_count > len(report.faults) else ""
    return Text(f"{report.fault_count:,} faults{shown}.", "bold red")
