"""
`docstore rollout`: status, history, freeze, unfreeze and knob; the moves are registered from their own module.
"""

import json
from typing import Annotated, Any, Final

import typer
from bson.errors import BSONError

from docstore import commands
from docstore.cli import rollout_moves
from docstore.cli.exits import ExitCode
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where, Why
from docstore.cli.rollout_table import show_history, show_knobs, show_rollouts
from docstore.cli.running import opened, run, workplace
from docstore.cli.runs import operator
from docstore.core.bson_values import encode
from docstore.errors import NotInFleetError

# Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Move the version at which nodes store a kind, for some rows, for all, and back; and turn knobs.\n\n"
    "The way: deploy the release that reads the next version everywhere; [bold]canary[/], [bold]advance[/], then "
    "docstore backfill start KIND. [bold]rollback[/] leads back from each of them."
)
STATUS_HELP: Final = (
    "Show at which version each kind is stored, what rolling back means now, and what is in the way of releasing the "
    "binary before.\n\n"
    "Kinds that no node has worked with have no rollout, and are left out. Reads only."
)
HISTORY_HELP: Final = "Show what was changed, when, by whom and why; the newest last. Knobs and freezes are in it."
FREEZE_HELP: Final = (
    "Let nobody advance anything, or turn a knob, until it is unfrozen; for incidents.\n\n"
    "Rolling back stays possible. A freeze that is on stays as it is."
)
UNFREEZE_HELP: Final = "End the freeze, if one is on."
KNOB_HELP: Final = (
    "Give the knob NAME a value, which every node has within two seconds; without VALUE, show what knobs are turned "
    "to.\n\n"
    "VALUE is JSON (true, 5, null) or else text. With --percent only that share of the keys has it, always the same "
    "ones; for the others the default counts that the service names. Without a key, a node's instance is the key."
)
STATUS_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore rollout status\n\n"
    "  docstore rollout status city --format json | jq '.\\[0].release_before_blocked_by'"
)
HISTORY_EXAMPLE: Final = "[bold]Example[/]\n\n  docstore rollout history city --limit 50"
FREEZE_EXAMPLE: Final = "[bold]Example[/]\n\n  docstore rollout freeze --why 'incident 4711'"
UNFREEZE_EXAMPLE: Final = "[bold]Example[/]\n\n  docstore rollout unfreeze"
KNOB_EXAMPLE: Final = (
    "[bold]Examples[/]\n\n  docstore rollout knob\n\n"
    "  docstore rollout knob read_new_search true --percent 10\n\n"
    "  docstore rollout knob read_new_search false\n\n"
    "[dim]Exit codes: 0 turned, or shown, 2 nobody has turned NAME, 3 everything is frozen.[/]"
)

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="rich")
rollout_moves.register(app)


@app.command(name="status", help=STATUS_HELP, epilog=STATUS_EXAMPLE)
def status(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="The kind; all of them by default.", show_default=False),
    ] = None,
    *,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `STATUS_HELP`.
    """
    run(_status(context, Where(uri=uri, database=database, upgraders=upgraders), kind, format))


async def _status(context: typer.Context, where: Where, kind: str | None, format: Format) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        kinds = list(place.kinds.values()) if kind is None else [place.kind(kind)]
        show_rollouts(await commands.rollout_status(place.database, kinds), format)
    return ExitCode.DONE


@app.command(name="history", help=HISTORY_HELP, epilog=HISTORY_EXAMPLE)
def history(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="Only what is about this kind.", show_default=False),
    ] = None,
    *,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many entries.")] = 20,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `HISTORY_HELP`.
    """
    run(_history(context, Where(uri=uri, database=database), kind, limit=limit, format=format))


async def _history(context: typer.Context, where: Where, kind: str | None, *, limit: int, format: Format) -> ExitCode:
    async with opened(context, where) as database:
        show_history(await commands.rollout_history(database, kind, limit=limit), format)
    return ExitCode.DONE


@app.command(name="freeze", help=FREEZE_HELP, epilog=FREEZE_EXAMPLE)
def freeze(
    context: typer.Context,
    *,
    why: Why = "",
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `FREEZE_HELP`.
    """
    run(_freeze(context, Where(uri=uri, database=database), why))


async def _freeze(context: typer.Context, where: Where, why: str) -> ExitCode:
    async with opened(context, where) as database:
        frozen = await commands.rollout_freeze(database, why=why, by=operator())
    if frozen is not None:
        because = f": {frozen.why}" if frozen.why else ""
        typer.echo(f"frozen by {frozen.by}{because}")
    return ExitCode.DONE


@app.command(name="unfreeze", help=UNFREEZE_HELP, epilog=UNFREEZE_EXAMPLE)
def unfreeze(context: typer.Context, *, uri: Uri = None, database: Database = None) -> None:
    """
    See `UNFREEZE_HELP`.
    """
    run(_unfreeze(context, Where(uri=uri, database=database)))


async def _unfreeze(context: typer.Context, where: Where) -> ExitCode:
    async with opened(context, where) as database:
        await commands.rollout_unfreeze(database, by=operator())
    typer.echo("nothing is frozen")
    return ExitCode.DONE


@app.command(name="knob", help=KNOB_HELP, epilog=KNOB_EXAMPLE)
def knob(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The knob; all of them by default.", show_default=False)
    ] = None,
    value: Annotated[
        str | None,
        typer.Argument(metavar="VALUE", help="JSON, or else text; it is only shown by default.", show_default=False),
    ] = None,
    *,
    percent: Annotated[
        float, typer.Option("--percent", metavar="P", min=0.0, max=100.0, help="For which share of the keys.")
    ] = 100.0,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
) -> None:
    """
    See `KNOB_HELP`.
    """
    where = Where(uri=uri, database=database)
    if name is None or value is None:
        run(_knobs(context, where, name, format))
    else:
        run(_knob(context, where, name, _value(value), percent=percent, format=format))


async def _knobs(context: typer.Context, where: Where, name: str | None, format: Format) -> ExitCode:
    async with opened(context, where) as database:
        knobs = [knob for knob in await commands.rollout_knobs(database) if name in {None, knob.name}]
    if name is not None and not knobs:
        raise NotInFleetError(what="knob", name=name)
    show_knobs(knobs, format)
    return ExitCode.DONE


async def _knob(
    context: typer.Context, where: Where, name: str, value: Any, *, percent: float, format: Format
) -> ExitCode:
    async with opened(context, where) as database:
        turned = await commands.rollout_knob(database, name, value, percent=percent, by=operator())
    show_knobs([turned], format)
    return ExitCode.DONE


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    try:
        encode({"value": value})
    except (OverflowError, BSONError) as error:
        # The text of the error quotes the value.
        msg = f"the database cannot hold this value ({type(error).__name__}); as text it can: '\"...\"'"
        raise typer.BadParameter(msg) from None
    return value
