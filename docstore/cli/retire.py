"""
`docstore retire`: parse, ask, render.
"""

import asyncio
from typing import Annotated, Any, Final

import typer

from docstore import commands
from docstore.cli.complaints import complain, note
from docstore.cli.durations import parse_duration
from docstore.cli.exits import ExitCode, exit_code_of
from docstore.cli.hints import hint_for
from docstore.cli.options import Database, Format, FormatOption, Upgraders, Uri, Where, Why
from docstore.cli.retirement_table import show_retirement
from docstore.cli.running import run, usage_fault, workplace
from docstore.cli.runs import operator
from docstore.cli.ways_out import ways_out
from docstore.commands import RetirementResult, RetirementState
from docstore.commands.retirement import refused
from docstore.core.kind import Kind
from docstore.errors import RetirementRefusedError, StoreUnavailableError
from docstore.mongo.driver import AnyDatabase

# Paragraphs are single lines, which typer wraps to the terminal.
HELP: Final = (
    "Prove that no row of KIND stands below a version, record it as the floor, and have the server refuse such rows "
    "from then on, whoever writes them. Then the code for those versions may be deleted; it says which.\n\n"
    "Refused, with every reason at once, unless exact counts show no row below, none without a tag, none whose tag is "
    "anything but an int or a long and none in quarantine; every node has acknowledged a write version that is not "
    "below; no declared reader stores and no client asks for a version below; no rollout and no run is open; and "
    "counts have shown no row below for the soak time.\n\n"
    "All or nothing: what cannot be proved under the fence is put back. A retirement that was broken off, by a crash "
    "for example, holds back rollouts until --resume finishes it or --undo puts everything back; anybody may do so."
)
EXAMPLE: Final = (
    "[bold]Examples[/]\n\n"
    "  docstore retire city --below 3 --dry-run\n\n"
    "  docstore retire city --below 3 --why 'release 44 is gone'\n\n"
    "  docstore retire city --below 3 --soak 7d --archive\n\n"
    "  docstore retire city --undo\n\n"
    "[dim]Exit codes: 0 retired (or undone, or nothing is in the way), 2 no such version, 3 something is in the way."
    "[/]"
)

_ANYWAY: Final = "Taking it upon yourself"
_BROKEN_OFF: Final = "A retirement that was broken off"
_UNDER_WAY: Final = (
    "if the retirement was begun, docstore retire {0} --resume finishes it, and docstore retire {0} --undo puts "
    "everything back"
)


def retire(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The kind.", show_default=False)],
    *,
    below: Annotated[
        int | None,
        typer.Option("--below", metavar="VERSION", help="The floor that is to be.", show_default=False),
    ] = None,
    soak: Annotated[
        str,
        typer.Option(
            "--soak", metavar="TIME", help="How long counts must have shown no row below; 0 for no such time."
        ),
    ] = "48h",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is in the way and what may be deleted; decide nothing.")
    ] = False,
    archive: Annotated[
        bool,
        typer.Option(
            "--archive",
            help="Move the step files that nobody needs any more into the sub-package `retired`, which no service "
            "imports; docstore backfill start --with-retired lifts rows of a restored backup by them.",
        ),
    ] = False,
    why: Why = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish it, from the fence on.", rich_help_panel=_BROKEN_OFF)
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo", help="Put the collection's validator and the records back.", rich_help_panel=_BROKEN_OFF
        ),
    ] = False,
    unfenced: Annotated[
        bool,
        typer.Option(
            "--unfenced",
            help="Go without a fence: nothing keeps rows below away, and the floor is reported as unproved.",
            rich_help_panel=_ANYWAY,
        ),
    ] = False,
    ignore_node: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore-node",
            metavar="NODE",
            help="A node that vanished without closing and is known to be gone, by instance or id; may be repeated.",
            rich_help_panel=_ANYWAY,
            show_default=False,
        ),
    ] = None,
    format: FormatOption = Format.TABLE,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
) -> None:
    """
    See `HELP`.
    """
    if [below is not None, resume, undo].count(True) != 1:
        raise usage_fault("name one of --below VERSION, --resume and --undo", f"docstore retire {kind} --below VERSION")
    anew = dry_run or unfenced or _is_typed(context, "soak")
    if (resume and (anew or why)) or (undo and (anew or archive or ignore_node)):
        raise usage_fault(
            "--resume and --undo go on as the retirement was begun",
            f"docstore retire {kind} --resume [--archive] [--ignore-node NODE], or {kind} --undo [--why TEXT]",
        )
    if dry_run and archive:
        raise usage_fault("--dry-run moves no file; it names them", f"docstore retire {kind} --below VERSION --archive")
    where = Where(uri=uri, database=database, upgraders=upgraders)
    seconds = _soak(soak)
    ignored = frozenset(ignore_node or ())

    async def ask(database: AnyDatabase, of: Kind[Any]) -> RetirementResult:
        if undo:
            return await commands.retire_undo(database, of, by=operator(), why=why)
        if resume or below is None:
            return await commands.retire_resume(database, of, by=operator(), ignored_nodes=ignored, archived=archive)
        if dry_run:
            return await commands.retire_dry_run(
                database, of, below, soak=seconds, fenced=not unfenced, ignored_nodes=ignored
            )
        return await commands.retire(
            database,
            of,
            below,
            by=operator(),
            why=why,
            soak=seconds,
            fenced=not unfenced,
            ignored_nodes=ignored,
            archived=archive,
        )

    run(_retire(context, where, kind, format, ask))


async def _retire(context: typer.Context, where: Where, kind: str, format: Format, ask: Any) -> ExitCode:
    async with workplace(context, where, kind=kind) as place:
        try:
            result: RetirementResult = await ask(place.database, place.kind(kind))
        except RetirementRefusedError as error:
            _complain_about_all(error)
            if format is Format.JSON:
                show_retirement(await refused(place.database, place.kind(kind), error), format)
            return exit_code_of(error)
        except (StoreUnavailableError, asyncio.CancelledError):
            note(_UNDER_WAY.format(kind))
            raise
    show_retirement(result, format)
    if result.state is RetirementState.BLOCKED:
        for blocker in result.blockers:
            complain(blocker.words, ways_out([{**blocker.model_dump(), "kind": kind}]))
        return ExitCode.REFUSED
    return ExitCode.DONE


def _complain_about_all(error: RetirementRefusedError) -> None:
    """
    Write each thing that is in the way, with its way out.
    """
    for blocker in error.blockers:
        complain(str(blocker["words"]), ways_out([blocker]))
    if not error.blockers:
        complain(str(error), hint_for(error))


def _is_typed(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _soak(text: str) -> float:
    return 0.0 if text.strip().lower().rstrip("smhd") == "0" else parse_duration(text)
