"""
`docstore rollout canary|advance|rollback`: parse, ask, render.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeAlias

import typer

from docstore import commands
from docstore.cli.complaints import note
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where, Why
from docstore.cli.rollout_table import show_rollouts
from docstore.cli.running import run, workplace
from docstore.cli.runs import operator
from docstore.core.kind import Kind
from docstore.core.rollout_gates import Overrides
from docstore.core.rollout_state import RolloutState
from docstore.core.way_back import WayBack
from docstore.fleet.rollout_status import RolloutStatus
from docstore.mongo.driver import AnyDatabase

# Paragraphs are single lines, which typer wraps to the terminal.
CANARY_HELP: Final = (
    "Have a share of KIND's rows stored at the next version: those whose _id falls under the percentage.\n\n"
    "It is always the same rows, on every node, and a greater share holds the rows of a smaller one. Asking again "
    "changes the percentage.\n\n"
    "With --abort-on the nodes roll it back by themselves: RULE is errors>1% (of at least 100 operations), or "
    "errors>0.5% of 1000. What counts are operations on rows at the next version; an error is a row that cannot be "
    "upgraded, does not fit the model or cannot be stored, and a write that the server refuses."
)
ADVANCE_HELP: Final = (
    "Have all rows of KIND stored at the next version from now on.\n\n"
    "Refused unless every live node and declared reader reads it, the indexes are there that the kind declares for it, "
    "and its step has a way back; everything that is in the way is told at once. It says what rolling back will mean "
    "from here.\n\n"
    "Rows that stand below are left to a backfill: docstore backfill start KIND. When that has ended, the rollout is "
    "complete."
)
ROLLBACK_HELP: Final = (
    "Have all rows of KIND stored at the version before again, at once; also while everything is frozen.\n\n"
    "A run that takes rows up is cancelled, and one that brings back the rows above is asked for: workers take it up, "
    "or docstore backfill start KIND --to VERSION --wait does it here. docstore rollout status says what is left, and "
    "when the release before may run.\n\n"
    "Rows with something that the version before has no place for are put aside, with the path. --accept-loss brings "
    "them down without it, and ends the rollback; what no step takes down stays where it is."
)
CANARY_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore rollout canary city --percent 5\n\n"
    "  docstore rollout canary city --percent 5 --abort-on 'errors>1%'\n\n"
    "[dim]Exit codes: 0 done, 2 no node has worked with KIND or RULE is none, 3 something is in the way.[/]"
)
ADVANCE_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore rollout advance city\n\n"
    "  docstore rollout advance city --create-indexes\n\n"
    "  docstore rollout advance city --ignore-node pod-7 --why 'release 41'\n\n"
    "[dim]Exit codes: 0 done, 2 no node has worked with KIND, 3 something is in the way.[/]"
)
ROLLBACK_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore rollout rollback city --why 'errors after the flip'\n\n"
    "  docstore rollout rollback city --accept-loss\n\n"
    "[dim]Exit codes: 0 done, 2 no node has worked with KIND, 3 something is in the way.[/]"
)

_ANYWAY: Final = "Taking it upon yourself"
_MEANING: Final = {
    WayBack.INSTANT: "rolling back to version {0} is instant as long as nothing is stored above it; from the first row "
    "that is, it takes a reverse backfill",
    WayBack.AFTER_BACKFILL: "rolling back to version {0} is complete after the reverse backfill",
    WayBack.NEVER: "there is no rolling back to version {0}",
}
_LEFT: Final = (
    "rows stand above version {0}: workers bring them back, or here: docstore backfill start {1} --to {0} --wait"
)

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
CreateIndexes: TypeAlias = Annotated[
    bool,
    typer.Option("--create-indexes", help="Build what is missing of the indexes that the kind declares, and wait."),
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
    abort_on: Annotated[
        str | None,
        typer.Option("--abort-on", metavar="RULE", help="When the nodes roll it back.", show_default=False),
    ] = None,
    create_indexes: CreateIndexes = False,
    why: Why = "",
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
        return commands.rollout_canary(
            database,
            kind,
            percent,
            by=operator(),
            why=why,
            abort_on=abort_on,
            create_indexes=create_indexes,
            overrides=overrides,
        )

    run(_moved(context, where, kind, format, move))


def advance(
    context: typer.Context,
    kind: KindArgument,
    *,
    create_indexes: CreateIndexes = False,
    why: Why = "",
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
        return commands.rollout_advance(
            database, kind, by=operator(), why=why, create_indexes=create_indexes, overrides=overrides
        )

    run(_moved(context, where, kind, format, move))


def rollback(
    context: typer.Context,
    kind: KindArgument,
    *,
    why: Why = "",
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="End a rollback that is on: trim the rows that were put aside, and leave what cannot be brought down.",
            rich_help_panel=_ANYWAY,
        ),
    ] = False,
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

    async def move(database: AnyDatabase, kind: Kind[Any]) -> RolloutStatus:
        if not accept_loss:
            return await commands.rollout_rollback(database, kind, why=why, by=operator(), overrides=overrides)
        loss = await commands.rollout_accept_loss(database, kind, why=why, by=operator())
        note(f"{_rows(loss.trimmed)} trimmed to version {loss.version}, {_rows(loss.left)} left above it")
        return (await commands.rollout_status(database, [kind]))[0]

    run(_moved(context, where, kind, format, move))


async def _moved(context: typer.Context, where: Where, kind: str, format: Format, move: _Move) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        status = await move(place.database, place.kind(kind))
    show_rollouts([status], format)
    if status.way_back in _MEANING:
        note(_MEANING[status.way_back].format(status.version_before))
    if status.state is RolloutState.ROLLING_BACK and (status.highest_row or 0) > status.write_version:
        note(_LEFT.format(status.write_version, status.kind))
    return ExitCode.DONE


def _rows(number: int) -> str:
    return "1 row was" if number == 1 else f"{number:,} rows were"


def _overrides(
    ignored: list[str] | None, *, no_fleet: bool, alongside: bool = False, irreversible: bool = False
) -> Overrides:
    return Overrides(
        no_fleet=no_fleet,
        alongside=alongside,
        irreversible=irreversible,
        ignored_nodes=frozenset(ignored or ()),
    )
