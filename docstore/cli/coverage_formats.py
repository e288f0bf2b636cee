"""
The forms in which `docstore coverage` tells what it counted.
"""

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer


class CoverageFormat(StrEnum):
    """
    How a coverage report is written.
    """

    TABLE = "table"
    JSON = "json"
    PROMETHEUS = "prometheus"
    HTML = "html"


CoverageFormatOption: TypeAlias = Annotated[
    CoverageFormat,
    typer.Option(
        "--format",
        help="A table for people, JSON for programs with nothing else on stdout, what Prometheus reads (from a file, "
        "by the textfile collector of its node exporter), or one HTML page with the history, the fleet, rollouts, "
        "runs, quarantine and what to do next, which needs nothing but itself.",
    ),
]
