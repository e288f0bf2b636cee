"""The coverage report as people read it."""

import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from docstore.cli.durations import span
from docstore.cli.row_words import some_rows
from docstore.commands import CoverageResult, IndexState, RemainingResult
from docstore.core.coverage import Coverage, OldestRow
from docstore.core.remaining_rows import RemainingRows

_BAR_WIDTH = 32  # characters


def coverage_table(report: Coverage) -> RenderableType:
    """Return a report as a table with a bar for every version, and a sentence on what may be retired."""
    said = "\n".join([*report.bypassed, _verdict(report)])
    return Group(coverage_bars(report), Text(said), Text(""))


def coverage_bars(report: Coverage) -> Table:
    """Return the table alone."""
    table = _bars(
        f"[bold]{report.kind}[/] in {report.collection}: {report.total:,} rows, "
        f"[bold]{share(report.coverage)}[/] at version {report.latest}"
    )
    _fill(table, _lines(report), total=report.total)
    return table


def share(fraction: float) -> str:
    """Return a fraction in percent; 100 % and 0 % are said only where they are exactly true."""
    permille = round(fraction * 1000)
    if fraction > 0 and permille == 0:
        return "<0.1 %"
    if fraction < 1 and permille == 1000:  # noqa: PLR2004 - all of it, if it were not rounded
        return ">99.9 %"
    return f"{permille / 10:.1f} %"


def remaining_table(report: RemainingRows) -> RenderableType:
    """Return what stands below latest, with a bar for every version."""
    title = (
        f"[bold]{report.kind}[/] in {report.collection}: {some_rows(report.remaining)} below version {report.latest}"
    )
    table = _bars(title)
    lines = [(str(count.version), count.rows, "yellow") for count in report.versions]
    lines += [("untagged", report.untagged, "yellow")] if report.untagged else []
    lines += [("unreadable", report.unreadable, "red")] if report.unreadable else []
    _fill(table, lines, total=report.remaining)
    said = [f"quarantined: {report.quarantined:,}"] if report.quarantined else []
    said += _oldest(report.oldest_below, report.counted_at)
    return Group(table, Text("\n".join([*said, *_doubt(exact=report.exact)])), Text(""))


def index_advice(result: CoverageResult | RemainingResult) -> str | None:
    """Return what to say about the indexes on the tag, if anything."""
    kind, collection = result.report.kind, result.report.collection
    build = f"`docstore coverage {kind} --create-index` builds it"
    if result.index is IndexState.MISSING:
        cost = ""
        if result.cost is not None:
            cost = (
                f" ({some_rows(result.cost.rows)}, {decimal(result.cost.bytes_read)}; "
                f"the index would take about {decimal(result.cost.index_bytes)})"
            )
        return (
            f"{collection} has no index on (tag, _id), so every row was read to count them{cost}; "
            f"{build}, and so does the backfill"
        )
    if result.index is IndexState.INCOMPLETE:
        return (
            f"{collection} has no index on tags that are no integers, so every key of the other index was looked at; "
            f"{build}: it reads every row once, and holds next to nothing"
        )
    if result.index is IndexState.BUILT:
        return f"the (tag, _id) index of {collection} is built"
    return None


def _bars(title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="", pad_edge=False)
    table.add_column("version")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    table.add_column("", min_width=_BAR_WIDTH)
    return table


def _fill(table: Table, lines: list[tuple[str, int, str]], *, total: int) -> None:
    for label, rows, style in lines:
        fraction = rows / total if total else 0.0
        bar = ProgressBar(total=1.0, completed=fraction, width=_BAR_WIDTH, complete_style=style, finished_style=style)
        table.add_row(Text(label, style=style), f"{rows:,}", share(fraction), bar)


def _oldest(row: OldestRow | None, now: datetime.datetime) -> list[str]:
    if row is None:
        return []
    age = span(max((now - row.created).total_seconds(), 0.0))
    return [f"the oldest row below latest was made {age} ago, on {row.created:%Y-%m-%d}, and stands at {row.version}"]


def _doubt(*, exact: bool) -> list[str]:
    if exact:
        return []
    return ["not of one moment: the server is no replica set, so rows may have moved while they were counted"]


def _lines(report: Coverage) -> list[tuple[str, int, str]]:
    lines = []
    for count in report.versions:
        if count.version == report.latest:
            lines.append((f"{count.version} (latest)", count.rows, "green"))
        elif count.version > report.latest:
            lines.append((f"{count.version} (newer)", count.rows, "magenta"))
        elif count.version < report.floor:
            lines.append((f"{count.version} (below the floor)", count.rows, "red"))
        else:
            lines.append((str(count.version), count.rows, "yellow"))
    if report.untagged:
        lines.append(("untagged", report.untagged, "yellow"))
    if report.unreadable:
        lines.append(("unreadable", report.unreadable, "red"))
    return lines


def _verdict(report: Coverage) -> str:
    lines = []
    for client in report.client_versions:
        asks = "once" if client.asks == 1 else f"{client.asks:,} times"
        lines.append(f"asked for by clients: version {client.version}, {asks}, last {client.last_asked:%Y-%m-%d}")
    if report.quarantined:
        lines.append(f"quarantined: {report.quarantined:,}")
    if report.retirable_below is not None:
        ask = f"docstore retire {report.kind} --below {report.retirable_below}"
        lines.append(f"no row, node or quarantine entry is in the way of `{ask}`")
    if report.doubles:
        lines.append(f"tagged with a double: {report.doubles:,}, which a fence would keep out")
    lines += _oldest(report.oldest_below, report.counted_at)
    if report.blockers:
        lines.append("in the way of retiring older versions:")
        lines += [f"  - {blocker}" for blocker in report.blockers]
    lines += _doubt(exact=report.exact)
    return "\n".join(lines)
