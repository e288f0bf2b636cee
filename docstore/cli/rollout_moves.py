"""
`docstore rollout canary|advance|rollback`: parse, ask, render.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeAlias

import typer

from docstore import commands
from docstore.cli.complaints import note
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where
from docstore.cli.rollout_table import show_rollouts
from docstore.cli.running import run, workplace
from docstore.cli.runs import operator
from docstore.core.kind import Kind
from docstore.core.rollout_gates import Overrides
from docstore.core.way_back import WayBack
from docstore.fleet.status import RolloutStatus
from docstore.mongo.driver import AnyDatabase

# Paragraphs are single lines, which typer wraps to the terminal.
CANARY_HELP: Final = (
    "Have a share of KIND's rows stored at the next version: those whose _id falls under the percentage.\n\n"
    "It is always the same rows, on every node. A greater share holds the rows of a smaller one."
)
ADVANCE_HELP: Final = (
    "Have all rows of KIND stored at the next version from now on.\n\n"
    "Refused unless every live node and declared reader reads it; everything that is in the way is told at once. Rows "
    "that stand below are left to a backfill."
)
ROLLBACK_HELP: Final = (
    "Have all rows of KIND stored at the version before again, at once; also while everything is frozen.\n\n"
    "An open run that takes rows above it is cancelled."
)
CANARY_EXAMPLE: Final = (
    "[bold]Example[/]\n\n  docstore rollout canary city --percent 5\n\n"
    "[dim]Exit codes: 0 done, 2 no node has worked with KIND, 3 something is in the way.[/]"
)
ADVANCE_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore rollout advance city\n\n"
    "  docstore rollout advance city --ignore-node pod-7\n\n"
    "[dim]Exit codes: 0 done, 2 no node has worked with KIND, 3 something is in the way.[/]"
)
ROLLBACK_EXAMPLE: Final = (
    "[bold]Example[/]\n\n  docstore rollout rollback city --why 'errors after the flip'\n\n"
    "[dim]Exit codes: 0 done, 2 no node has worked with KIND, 3 something is in the way.[/]"
)

_ANYWAY: Final = "Taking it upon yourself"
_MEANING: Final = {
    WayBack.INSTANT: "nothing is stored above version {0}: rolling back is instant",
    WayBack.AFTER_BACKFILL: "rolling back to version {0} is complete after the reverse backfill",
    WayBack.NEVER: "there is no rolling back to version {0}",
}

KindArgument: TypeAlias = Annotated[str, typer.Argument(metavar="KIND", help="The kind.", show_default=False)]
NoFleet: TypeAlias = Annotated[
    bool, typer.Option("--no-fleet", help="Go on although no node is alive.", rich_help_panel=_ANYWAY)
]
IgnoreNode: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore-node",
        metavar="NODE",
        help="A node that vanished without closing and is known to be gone, by instance or id; may be repeated.",
        rich_help_panel=_ANYWAY,
        show_default=False,
    ),
]
Alongside: TypeAlias = Annotated[
    bool,
    typer.Option("--alongside", help="Begin although the rollout of another kind is open.", rich_help_panel=_ANYWAY),
]
Irreversible: TypeAlias = Annotated[
    bool,
    typer.Option("--irreversible", help="Begin although the step has no way back.", rich_help_panel=_ANYWAY),
]
_Move: TypeAlias = Callable[[AnyDatabase, Kind[Any]], Awaitable[RolloutStatus]]


def register(app: typer.Typer) -> None:
    """
    Add the verbs to a command line.
    """
    app.command(name="canary", help=CANARY_HELP, epilog=CANARY_EXAMPLE)(canary)
    app.command(name="advance", help=ADVANCE_HELP, epilog=ADVANCE_EXAMPLE)(advance)
    app.command(name="rollback", help=ROLLBACK_HELP, epilog=ROLLBACK_EXAMPLE)(rollback)


def canary(
    context: typer.Context,
    kind: KindArgument,
    *,
    percent: Annotated[float, typer.Option("--percent", metavar="P", min=0.0, max=100.0, help="The share of the ids.")],
    ignore_node: IgnoreNode = None,
    no_fleet: NoFleet = False,
    alongside: Alongside = False,
    irreversible: Irreversible = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `CANARY_HELP`.
    """
    overrides = _overrides(ignore_node, no_fleet=no_fleet, alongside=alongside, irreversible=irreversible)
    where = Where(uri=uri, database=database, upgraders=upgraders)

    def move(database: AnyDatabase, kind: Kind[Any]) -> Awaitable[RolloutStatus]:
        return commands.rollout_canary(database, kind, percent, by=operator(), overrides=overrides)

    run(_moved(context, where, kind, format, move))


def advance(
    context: typer.Context,
    kind: KindArgument,
    *,
    ignore_node: IgnoreNode = None,
    no_fleet: NoFleet = False,
    alongside: Alongside = False,
    irreversible: Irreversible = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `ADVANCE_HELP`.
    """
    overrides = _overrides(ignore_node, no_fleet=no_fleet, alongside=alongside, irreversible=irreversible)
    where = Where(uri=uri, database=database, upgraders=upgraders)

    def move(database: AnyDatabase, kind: Kind[Any]) -> Awaitable[RolloutStatus]:
        return commands.rollout_advance(database, kind, by=operator(), overrides=overrides)

    run(_moved(context, where, kind, format, move))


def rollback(
    context: typer.Context,
    kind: KindArgument,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="What the history says of it.")] = "",
    ignore_node: IgnoreNode = None,
    no_fleet: NoFleet = False,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `ROLLBACK_HELP`.
    """
    overrides = _overrides(ignore_node, no_fleet=no_fleet)
    where = Where(uri=uri, database=database, upgraders=upgraders)

    def move(database: AnyDatabase, kind: Kind[Any]) -> Awaitable[RolloutStatus]:
        return commands.rollout_rollback(database, kind, why=why, by=operator(), overrides=overrides)

    run(_moved(context, where, kind, format, move))


async def _moved(context: typer.Context, where: Where, kind: str, format: Format, move: _Move) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        status = await move(place.database, place.kind(kind))
    show_rollouts([status], format)
    if status.way_back in _MEANING:
        note(_MEANING[status.way_back].format(status.version_before))
    return ExitCode.DONE


def _overrides(
    ignored: list[str] | None, *, no_fleet: bool, alongside: bool = False, irreversible: bool = False
) -> Overrides:
    return Overrides(
        no_fleet=no_fleet,
        alongside=alongside,
        irreversible=irreversible,
        ignored_nodes=frozenset(ignored or ()),
    )
