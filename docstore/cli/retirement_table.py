"""
What became of a retirement, as people read it.
"""

from collections.abc import Iterator

import typer
from rich.console import Console
from rich.text import Text

from docstore.cli.durations import span
from docstore.cli.options import Format
from docstore.commands import RetirementResult, RetirementState
from docstore.retirement.leftovers import Leftovers


def show_retirement(result: RetirementResult, format: Format) -> None:
    """
    Write what became of a retirement to stdout.
    """
    if format is Format.JSON:
        typer.echo(result.model_dump_json())
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in _lines(result):
        console.print(line)


def _lines(result: RetirementResult) -> Iterator[Text]:
    yield _headline(result)
    proof = result.proof
    if proof is not None and result.state in {RetirementState.RETIRED, RetirementState.UNPROVED}:
        versions = ", ".join(f"{rows:,} at version {version}" for version, rows in proof.versions.items()) or "no row"
        at = proof.at.isoformat(sep=" ", timespec="seconds")
        yield Text(f"  proved by {proof.by} at {at}: {versions}; soak {span(proof.soak)}")
    for view in result.views:
        yield Text(f"  view {view} {'would be dropped' if result.state is RetirementState.POSSIBLE else 'dropped'}")
    for file in result.archived:
        yield Text(f"  archived {file}")
    if result.leftovers is not None and result.state is not RetirementState.BLOCKED:
        yield Text("  what may go, in the code:")
        yield from _leftovers(result.leftovers, archived=bool(result.archived))


def _headline(result: RetirementResult) -> Text:
    kind, below = result.kind, result.below
    match result.state:
        case RetirementState.RETIRED:
            return Text(f"{kind}: no row stands below version {below}, and the server lets none in", "green")
        case RetirementState.UNPROVED:
            return Text(
                f"{kind}: version {below} is recorded as the floor, unproved: nothing keeps rows away", "yellow"
            )
        case RetirementState.POSSIBLE:
            return Text(f"{kind}: nothing is in the way of retiring what is below version {below}")
        case RetirementState.BLOCKED:
            return Text(f"{kind}: what is below version {below} cannot be retired now", "red")
        case RetirementState.UNDONE:
            return Text(f"{kind}: everything is as it was before the retirement below version {below} was begun")


def _leftovers(what: Leftovers, *, archived: bool) -> Iterator[Text]:
    yield Text(f"    floor={what.floor} in its Kind")
    if what.files and not archived:
        for file in what.files:
            yield Text(f"    {file}")
    elif what.steps and not archived:
        yield Text(f"    the steps to version {', '.join(map(str, what.steps))}")
    for folder in what.samples:
        yield Text(f"    {folder}/ (golden rows)")
    for name in what.fields:
        yield Text(f"    the field {name} of the model: no row has anything there any more")
    for index in what.indexes:
        yield Text(f"    the index {index}, and its declaration: only older versions needed it")
