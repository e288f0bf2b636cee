"""The options that several commands share."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypeAlias

import typer
from pydantic import SecretStr

from docstore.settings import Settings

_WHERE = "Where to work"

Uri: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--uri",
        metavar="URI",
        help="The MongoDB deployment, as a connection string. A password is safer in the environment. "
        "[dim]\\[env: DOCSTORE_URI][/]",
        rich_help_panel=_WHERE,
        show_default=False,
    ),
]
Database: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="NAME",
        help="The database; by default the one that the URI names. [dim]\\[env: DOCSTORE_DATABASE][/]",
        rich_help_panel=_WHERE,
        show_default=False,
    ),
]
Upgraders: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--upgraders",
        metavar="PACKAGE",
        help="The Python package that holds the kinds, importable from the current folder; also "
        "`upgraders` in \\[tool.docstore] of pyproject.toml. [dim]\\[env: DOCSTORE_UPGRADERS][/]",
        rich_help_panel=_WHERE,
        show_default=False,
    ),
]


class Format(StrEnum):
    """How a report is written to stdout."""

    TABLE = "table"
    JSON = "json"


Why: TypeAlias = Annotated[str, typer.Option("--why", metavar="TEXT", help="What the history says of it.")]
FormatOption: TypeAlias = Annotated[
    Format,
    typer.Option("--format", help="A table for people, or JSON for programs with nothing else on stdout."),
]


@dataclass(frozen=True, slots=True, repr=False)
class Where:
    """The three options that say where to work, as they were typed; None where they were not."""

    uri: str | None = None
    database: str | None = None
    upgraders: str | None = None

    def or_else(self, outer: object) -> "Where":
        """Return these options, completed from those typed before the command."""
        if not isinstance(outer, Where):
            return self
        return Where(
            uri=self.uri or outer.uri,
            database=self.database or outer.database,
            upgraders=self.upgraders or outer.upgraders,
        )

    def settings(self) -> Settings:
        """
        Return the settings: what was typed, then the environment, then `pyproject.toml`.

        Raises:
            pydantic.ValidationError: A setting is of the wrong type.
            tomllib.TOMLDecodeError: `pyproject.toml` cannot be read.
        """
        typed: dict[str, str | SecretStr] = {}
        if self.uri:
            typed["uri"] = SecretStr(self.uri)
        if self.database:
            typed["database"] = self.database
        if self.upgraders:
            typed["upgraders"] = self.upgraders
        return Settings(**typed)  # type: ignore[arg-type]
