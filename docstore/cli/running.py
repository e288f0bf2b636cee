"""Running a command: settings, kinds, a database, and an exit code for whatever happens."""

import asyncio
import sys
import tomllib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from pydantic import ValidationError

from docstore.cli.complaints import complain, complain_about
from docstore.cli.exits import ExitCode
from docstore.cli.options import Where
from docstore.core.kind import Kind
from docstore.discovery import find_kinds, kind_named
from docstore.errors import DocstoreError
from docstore.mongo.client import connected
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.leaving import ended
from docstore.settings import Settings

#: How long a task that is left when a command is over may take to end, in seconds, and how often it is told.
_CANCELLING: Final = 0.2
_CANCELLATIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Workplace:
    """The kinds of the package and the database that holds their rows."""

    kinds: dict[str, Kind[Any]]
    package: str
    database: AnyDatabase

    def kind(self, name: str) -> Kind[Any]:
        """
        Return a kind by its name.

        Raises:
            UnknownKindError: There is none of that name.
        """
        return kind_named(name, self.kinds, where=f"the package {self.package!r}")


@asynccontextmanager
async def workplace(context: typer.Context, where: Where, *, kind: str | None = None) -> AsyncIterator[Workplace]:
    """
    Load the kinds, then open the database; the fault that is cheaper to find is found first.

    Args:
        context: Holds the options typed before the command.
        where: The options typed after it.
        kind: A kind that has to be there.

    Raises:
        DocstoreError: A setting, the kinds or the database.
    """
    settings = _settings(where.or_else(context.obj))
    kinds, package = _kinds(settings, kind)
    async with _connected(settings) as database:
        yield Workplace(kinds=kinds, package=package, database=database)


def kinds_alone(context: typer.Context, where: Where) -> dict[str, Kind[Any]]:
    """
    Load all kinds, for what can be told without a database.

    Raises:
        DocstoreError: A setting or the kinds.
    """
    return _kinds(_settings(where.or_else(context.obj)), None)[0]


def kind_alone(context: typer.Context, where: Where, *, kind: str) -> Kind[Any]:
    """
    Load a kind, for what can be told without a database.

    Raises:
        DocstoreError: A setting or the kinds.
    """
    return kind_and_package(context, where, kind=kind)[0]


def kind_and_package(context: typer.Context, where: Where, *, kind: str) -> tuple[Kind[Any], str]:
    """
    Load a kind, and return it with the package that holds it, for processes that load it too.

    Raises:
        DocstoreError: A setting or the kinds.
    """
    kinds, package = _kinds(_settings(where.or_else(context.obj)), kind)
    return kinds[kind], package


def _kinds(settings: Settings, kind: str | None) -> tuple[dict[str, Kind[Any]], str]:
    if settings.upgraders is None:
        raise usage_fault(
            "no package of kinds was named",
            "--upgraders PACKAGE, DOCSTORE_UPGRADERS, or `upgraders` in [tool.docstore] of pyproject.toml",
        )
    # Console scripts do not look into the current folder by themselves.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    kinds = find_kinds(settings.upgraders)
    if kind is not None:
        kind_named(kind, kinds, where=f"the package {settings.upgraders!r}")
    return kinds, settings.upgraders


@asynccontextmanager
async def opened(context: typer.Context, where: Where) -> AsyncIterator[AnyDatabase]:
    """
    Open the database, for commands that need no kinds.

    Raises:
        DocstoreError: A setting or the database.
    """
    async with _connected(_settings(where.or_else(context.obj))) as database:
        yield database


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[AnyDatabase]:
    if settings.uri is None:
        raise usage_fault("no MongoDB deployment was named", "--uri mongodb://HOST/DATABASE, or DOCSTORE_URI")
    async with connected(settings.uri.get_secret_value(), settings.database) as database:
        yield database


def usage_fault(text: str, hint: str) -> typer.Exit:
    """Tell the user that the command cannot be run as it was typed, and return what ends it."""
    complain(text, hint)
    return typer.Exit(ExitCode.USAGE)


def run(command: Coroutine[Any, Any, ExitCode]) -> None:
    """
    Run a command to its end and leave with its exit code.

    Raises:
        typer.Exit: Always.
    """
    try:
        code = asyncio.run(_alone(command))
    except DocstoreError as error:
        code = complain_about(error)
    except KeyboardInterrupt:
        complain("interrupted", "every command may be repeated")
        code = ExitCode.FAILED
    raise typer.Exit(code)


async def _alone(command: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    """Carry out a command, and leave no task behind: asyncio would wait for one as long as the driver keeps it."""
    asyncio.get_running_loop().set_exception_handler(_complain_of)
    try:
        return await command
    finally:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        await ended([task for task in rest if task is not None], times=_CANCELLATIONS, seconds=_CANCELLING)


def _complain_of(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell of what went wrong in a task that nobody asked; not of a Ctrl-C, which may come while any is at work."""
    if not isinstance(context.get("exception"), KeyboardInterrupt):
        loop.default_exception_handler(context)


def _settings(where: Where) -> Settings:
    try:
        return where.settings()
    except ValidationError as error:
        names = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False))
        raise usage_fault(f"wrong setting: {names} must be text", "see `docstore --help`") from None
    except tomllib.TOMLDecodeError as error:
        raise usage_fault(f"pyproject.toml cannot be read: {error}", "mend it, or work from another folder") from error
