"""
What `docstore coverage` writes to stdout.
"""

import json

import typer
from rich.console import Console, Group, RenderableType

from docstore.cli.coverage_formats import CoverageFormat
from docstore.cli.coverage_table import coverage_table, remaining_table
from docstore.cli.coverage_wish import Results
from docstore.commands import CoverageResult


def write(results: Results, format: CoverageFormat) -> None:
    """
    Write reports to stdout.
    """
    if format is CoverageFormat.JSON:
        typer.echo(json.dumps([result.report.model_dump(mode="json") for result in results]))
    elif format is CoverageFormat.PROMETHEUS:
        # Nobody else waits for the library.
        from docstore.cli.coverage_prometheus import coverage_metrics  # noqa: PLC0415

        typer.echo(coverage_metrics([result.report for result in results]), nl=False)
    else:
        Console(highlight=False).print(tables(results), end="")


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
