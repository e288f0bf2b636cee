"""
The command line as a user runs it: a process of its own, in a folder with a package of kinds.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from pymongo import MongoClient

# Ctrl-C is ignored in background jobs of a shell, and children inherit that.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from docstore.cli import main; main()"
)

KIND = """
from docstore import Document, Kind

class Note(Document):
    text: str
    words: int = 0

note = Kind("note", collection="notes", model=Note, package="shop.note")
"""
RENAME = """
from docstore import Step, operations as ops

step = Step(ops.RenameField("body", "text"))
"""
COUNT = """
from docstore import Step

def count(row):
    row["words"] = len(row["text"].split())
    return row

step = Step(upgrade=count, writes=["words"])
"""


class Docstore(Protocol):
    """
    Runs the command line to its end.
    """

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """
        Return the finished process; *variables* go into its environment.
        """
        ...


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """
    A folder with a package `shop` that holds the kind `note` of three versions.
    """
    kind = tmp_path / "shop" / "note"
    kind.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.docstore]\nupgraders = "shop"\n')
    (tmp_path / "shop" / "__init__.py").write_text("")
    (kind / "__init__.py").write_text(KIND)
    (kind / "v0002_rename_body.py").write_text(RENAME)
    (kind / "v0003_count_words.py").write_text(COUNT)
    return tmp_path


@pytest.fixture
def environment(mongod_uri: str, database_name: str) -> dict[str, str]:
    """
    An environment that names the deployment and an empty database.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DOCSTORE_")}
    return {**inherited, "DOCSTORE_URI": mongod_uri, "DOCSTORE_DATABASE": database_name, "COLUMNS": "100"}


@pytest.fixture
def start(project: Path, environment: dict[str, str]) -> Callable[..., "subprocess.Popen[str]"]:
    """
    Start the command line in the folder, with its output in pipes.
    """

    def start(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=project,
            env={**environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def docstore(start: Callable[..., "subprocess.Popen[str]"]) -> Docstore:
    """
    Run the command line in the folder to its end.
    """

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        with start(*arguments, **variables) as process:
            output, errors = process.communicate(timeout=150)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    return run


@pytest.fixture
def rows(mongod_uri: str, database_name: str) -> Any:
    """
    The database of the command line, through the plain driver.
    """
    with MongoClient[dict[str, Any]](mongod_uri) as client:
        yield client[database_name]
        client.drop_database(database_name)
