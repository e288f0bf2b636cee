"""
The command line, run in this process against a real server.
"""

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from pymongo import MongoClient
from pymongo.database import Database

from docstore.cli.app import _run

KINDS = """
from docstore import Document, Kind, Step
from docstore import operations as ops


class Place(Document):
    name: str
    slug: str = ""
    visits: int = 0


def add_slug(row):
    if row["name"] == "odd" and not MENDED:
        raise ValueError("secret " + row["name"])
    row["slug"] = row["name"].lower()
    return row


def drop_slug(row):
    if row["name"] == "stuck":
        raise ValueError("secret " + row["name"])
    row.pop("slug", None)
    return row


MENDED = False
place = Kind(
    "place",
    collection="places",
    model=Place,
    steps=[
        Step(ops.RenameField("title", "name"), to=2),
        Step(upgrade=add_slug, downgrade=drop_slug, writes=["slug"], to=3),
    ],
)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What a command left: its exit code and what it wrote.
    """

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """
    Runs commands on a database of its own with a package of kinds of its own.
    """

    database: Database[dict[str, Any]]
    package: str
    run: Callable[..., Outcome]

    def mend(self) -> None:
        """
        Let the step take the rows that it refused.
        """
        sys.modules[self.package].MENDED = True  # type: ignore[attr-defined]


@pytest.fixture
def command_line(
    mongod_uri: str,
    database_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[CommandLine]:
    package = f"kinds_{uuid.uuid4().hex}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(KINDS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DOCSTORE_URI", mongod_uri)
    monkeypatch.setenv("DOCSTORE_DATABASE", database_name)
    monkeypatch.setenv("DOCSTORE_UPGRADERS", package)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        code = _run(list(arguments))
        written = capfd.readouterr()
        return Outcome(code, written.out, written.err)

    with MongoClient[dict[str, Any]](mongod_uri) as client:
        yield CommandLine(client[database_name], package, run)
        for name in client[database_name].list_collection_names():
            client[database_name].drop_collection(name)
    # The command line has told structlog to write to what pytest closes now.
    structlog.reset_defaults()
