"""
`docstore backfill start --dry-run`: try, render.
"""

import difflib
from collections.abc import Iterator
from typing import Any

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from docstore import commands
from docstore.backfill.dry_run_result import DryRunResult, Example
from docstore.backfill.validation import Validate
from docstore.cli.complaints import complain, note
from docstore.cli.exits import ExitCode
from docstore.cli.id_file import Rows
from docstore.cli.options import Format, Where
from docstore.cli.row_words import some_rows
from docstore.cli.run_words import aim, left
from docstore.cli.running import workplace
from docstore.core.direction import Direction
from docstore.core.extended_json import to_text
from docstore.core.run_state import OPEN

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


async def dry_run(
    context: typer.Context,
    where: Where,
    kind: str,
    *,
    to: int | None,
    direction: Direction | None,
    rows: Rows,
    validate: Validate | None,
    format: Format,
) -> ExitCode:
    """
    Try a backfill in memory and show what it would do, with the values of up to three rows.
    """
    async with workplace(context, where, kind=kind) as place:
        result = await commands.backfill_dry_run(
            place.database,
            place.kind(kind),
            to=to,
            direction=direction,
            ids=rows.ids,
            sample=rows.sample or 0,
            validate=validate is not Validate.NONE,
            every_row=validate is Validate.ALL,
        )
        found = await commands.backfill_status(place.database, kind)
    if format is Format.JSON:
        typer.echo(result.model_dump_json())
    else:
        Console(highlight=False).print(_report(result))
    if result.differing:
        complain(
            f"the server and Python do not agree on {some_rows(result.differing)}",
            "a run would stop there: write the step as functions, and report the operation",
        )
    if result.would_fail:
        complain(f"{some_rows(result.would_fail)} would go to quarantine", "mend the rows or the steps first")
    for status in found:
        if status.state in OPEN:
            note(f"a run of {kind} {aim(status.direction, status.target)} is {status.state}: no other begins beside it")
    return ExitCode.DONE if result.clean else ExitCode.FAILED


def _report(result: DryRunResult) -> RenderableType:
    old = sum(count.rows for count in result.versions) + result.untagged
    chosen = result.selection
    of_them = "" if chosen is None else " of those chosen"
    missing = f" ({chosen.missing:,} of the ids name no row)" if chosen is not None and chosen.missing else ""
    parts: list[RenderableType] = [
        Text.assemble(
            (result.kind, "bold"),
            f": {some_rows(old)}{of_them} {left(result.direction, result.target)}; "
            f"{result.looked_at:,} looked at{missing}, nothing written",
        ),
        Padding(_numbers(result), (0, 0, 0, 2)),
    ]
    if result.changes:
        parts.append(_changes(result))
    if result.failures:
        parts.append(_failures(result))
    for difference in result.differences:
        where = ", ".join(difference.paths)
        parts.append(Text(f"{to_text(difference.id)}: the server and Python differ at {where}", "red"))
    for example in result.examples:
        parts += [Text(""), Text(f"{result.kind} {to_text(example.id)}", "bold"), *_diff(example)]
    return Group(*parts)


def _numbers(result: DryRunResult) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for label, number, style in (
        ("would be rewritten", result.would_change, ""),
        ("of these inside the server", result.by_server, ""),
        ("need nothing", result.untouched, ""),
        ("would go to quarantine", result.would_fail, "red"),
        ("come out differently in the server and in Python", result.differing, "red"),
    ):
        if number:
            table.add_row(Text(label, style), Text(f"{number:,}", style))
    return table


def _changes(result: DryRunResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("field", "would be"):
        table.add_column(heading)
    table.add_column("rows", justify="right")
    for change in result.changes:
        table.add_row(Text(change.path), change.change, f"{change.rows:,}")
    return table


def _failures(result: DryRunResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="would go to quarantine", title_justify="left", pad_edge=False)
    for heading in ("id", "version", "step", "error", "why"):
        table.add_column(heading, overflow="fold")
    for failure in result.failures:
        facts = (to_text(failure.id), failure.version, failure.step, failure.error, failure.reason)
        table.add_row(*[Text("-" if fact is None else str(fact)) for fact in facts])
    return table


def _diff(example: Example) -> Iterator[Text]:
    before, after = (_lines(row) for row in (example.before, example.after))
    for line in list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]:
        yield Text(line, _STYLES.get(line[0], ""))


def _lines(row: dict[str, Any]) -> list[str]:
    return to_text(row, indent=2).splitlines()
