"""What a backfill did, as people read it."""

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from docstore.backfill.progress import BackfillResult
from docstore.cli.run_words import aim, left


def backfill_summary(result: BackfillResult) -> RenderableType:
    """Return a result as a heading and the numbers that are not zero."""
    rewritten = result.server + result.client
    rate = f", {rewritten / result.seconds:,.0f} rows/s" if result.seconds and rewritten else ""
    heading = Text.assemble(
        (result.kind, "bold"),
        f": {rewritten:,} {'row' if rewritten == 1 else 'rows'} brought {aim(result.direction, result.target)} "
        f"in {result.seconds:.1f} s{rate}",
    )
    if result.selection is not None:
        how = "picked at random" if result.selection.random else "named by id"
        heading.append(f"; the run was about {result.selection.rows:,} rows {how} only", "yellow")
    numbers = Table.grid(padding=(0, 2))
    numbers.add_column()
    numbers.add_column(justify="right")
    for label, number, style in (
        ("inside the server", result.server, ""),
        ("in Python", result.client, ""),
        ("by other processes of the run", result.others, ""),
        ("changed meanwhile and read again", result.conflicts, ""),
        ("put aside in docstore_quarantine", result.quarantined, "red"),
        (f"still {left(result.direction, result.target)}", result.remaining, "red"),
        ("above every version that this code knows", result.newer, "red"),
    ):
        if number:
            numbers.add_row(Text(label, style), Text(f"{number:,}", style))
    if result.index_built:
        numbers.add_row("the (tag, _id) index was built", "")
    return Group(heading, Padding(numbers, (0, 0, 0, 2), expand=False))
