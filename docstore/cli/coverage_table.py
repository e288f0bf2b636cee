"""The coverage report as people read it."""

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from docstore.commands import CoverageResult, IndexState
from docstore.core.coverage import Coverage

_BAR_WIDTH = 32  # characters


def coverage_table(report: Coverage) -> RenderableType:
    """Return a report as a table with a bar for every version, and a sentence on what may be retired."""
    return Group(coverage_bars(report), Text(_verdict(report)), Text(""))


def coverage_bars(report: Coverage) -> Table:
    """Return the table alone."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"[bold]{report.kind}[/] in {report.collection}: {report.total:,} rows, "
        f"[bold]{share(report.coverage)}[/] at version {report.latest}",
        title_justify="left",
        title_style="",
        pad_edge=False,
    )
    table.add_column("version")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    table.add_column("", min_width=_BAR_WIDTH)
    for label, rows, style in _lines(report):
        fraction = rows / report.total if report.total else 0.0
        bar = ProgressBar(total=1.0, completed=fraction, width=_BAR_WIDTH, complete_style=style, finished_style=style)
        table.add_row(Text(label, style=style), f"{rows:,}", share(fraction), bar)
    return table


def share(fraction: float) -> str:
    """Return a fraction in percent; 100 % and 0 % are said only where they are exactly true."""
    permille = round(fraction * 1000)
    if fraction > 0 and permille == 0:
        return "<0.1 %"
    if fraction < 1 and permille == 1000:  # noqa: PLR2004 - all of it, if it were not rounded
        return ">99.9 %"
    return f"{permille / 10:.1f} %"


def index_advice(result: CoverageResult) -> str | None:
    """Return what to say about the (tag, `_id`) index, if anything."""
    kind, collection = result.report.kind, result.report.collection
    if result.index is IndexState.MISSING:
        return (
            f"{collection} has no index on (tag, _id), so every row was read to count them; "
            f"`docstore coverage {kind} --create-index` builds it, and so does the backfill"
        )
    if result.index is IndexState.BUILT:
        return f"the (tag, _id) index of {collection} is built"
    return None


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
        lines.append(f"nothing stands below version {report.retirable_below}")
    if report.blockers:
        lines.append("in the way of retiring older versions: " + "; ".join(report.blockers))
    if not report.exact:
        lines.append("not of one moment: the server is no replica set, so rows may have moved while they were counted")
    return "\n".join(lines)
