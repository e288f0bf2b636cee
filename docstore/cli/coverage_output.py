"""
What `docstore coverage` writes.
"""

import json
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console, Group, RenderableType

from docstore import commands
from docstore.cli.coverage_formats import CoverageFormat
from docstore.cli.coverage_table import coverage_table, remaining_table
from docstore.cli.coverage_wish import Results
from docstore.cli.running import Workplace
from docstore.commands import CoverageResult
from docstore.core.kind import Kind


def written_text(results: Results, format: CoverageFormat) -> str | None:
    """
    Return reports as text for programs; None for a table, whose form depends on where it is shown.
    """
    if format is CoverageFormat.JSON:
        return json.dumps([result.report.model_dump(mode="json") for result in results]) + "\n"
    if format is CoverageFormat.PROMETHEUS:
        # Nobody else waits for the library.
        from docstore.cli.coverage_prometheus import coverage_metrics  # noqa: PLC0415

        return coverage_metrics([result.report for result in results])
    return None


async def html_text(place: Workplace, kinds: Sequence[Kind[Any]], results: Results) -> str:
    """
    Return the HTML page.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: A record is that of another release of docstore.
    """
    # Nobody else waits for the template engine.
    from docstore.cli.html_report import html_page  # noqa: PLC0415

    counted = [result for result in results if isinstance(result, CoverageResult)]
    return html_page(await commands.database_report(place.database, kinds, counted, at=commands.utc_now()))


def write(results: Results, text: str | None) -> None:
    """
    Write reports to stdout: their text, or tables.
    """
    if text is None:
        Console(highlight=False).print(tables(results), end="")
    else:
        typer.echo(text, nl=False)


def tables(results: Results) -> RenderableType:
    """
    Return reports as tables.
    """
    return Group(
        *(
            coverage_table(result.report) if isinstance(result, CoverageResult) else remaining_table(result.report)
            for result in results
        )
    )
