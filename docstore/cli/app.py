"""The command line as a whole."""

import os
import signal
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from docstore.cli.commands_on_demand import CommandsOnDemand
from docstore.cli.complaints import complain, complain_about
from docstore.cli.exits import ExitCode
from docstore.cli.logs import configure_logs
from docstore.cli.options import Database, Upgraders, Uri, Where

app = typer.Typer(
    name="docstore",
    cls=CommandsOnDemand,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value:
        typer.echo(f"docstore {version('docstore')}")
        raise typer.Exit


@app.callback(
    epilog="[dim]Exit codes: 0 done, 1 ran and failed, 2 usage, 3 refused, 4 the steps are wrong, "
    "5 database not reachable. DOCSTORE_DEBUG=1 shows tracebacks.[/]"
)
def docstore(
    context: typer.Context,
    *,
    uri: Uri = None,
    database: Database = None,
    upgraders: Upgraders = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also log what goes well, to stderr.")] = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave."),
    ] = False,
) -> None:
    """
    Versioned MongoDB documents: count the rows of every schema version, and rewrite the old ones.

    The options that say where to work may stand before or after the command.
    """
    del show_version
    configure_logs(verbose=verbose)
    context.obj = Where(uri=uri, database=database, upgraders=upgraders)


def main() -> None:
    """Run the command line; ends the process with one of `ExitCode`."""
    code = _run(sys.argv[1:])
    # Everything is said and done: one more Ctrl-C does not change how it ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        code = app(arguments, prog_name="docstore", standalone_mode=False)
    except typer.TyperException as error:
        # No arguments at all: the help has been shown instead.
        if error.format_message():
            path = getattr(getattr(error, "ctx", None), "command_path", "docstore")
            complain(error.format_message(), f"{path} --help")
        return ExitCode.USAGE
    except BrokenPipeError:
        # Whoever read our output went away, `head` for example; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except KeyboardInterrupt:
        complain("interrupted", "every command may be repeated")
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches the user
        return complain_about(error)
    return code if isinstance(code, int) else ExitCode.DONE
