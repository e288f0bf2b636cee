"""
A kind whose steps show when they are applied twice, and worker processes that can be killed.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind
from docstore.discovery import find_kinds

ROOT = Path(__file__).parents[3]
#: How long to wait for what has to happen, in seconds; long enough for a machine that is busy with other things.
PATIENCE = 90.0
PACKAGE = "slow_kinds"

#: The step takes its time, so that a batch lasts long enough to be interrupted; how long, a file beside it says.
KINDS = """
import time
from pathlib import Path

from docstore import Document, Kind, Step


class Counter(Document):
    steps: int
    visits: int = 0


PACES = {{Path(__file__).with_name("slow"): 5, Path(__file__).with_name("quick"): 0}}


def pace():
    return next((factor for file, factor in PACES.items() if file.exists()), 1)


def count_up(row):
    time.sleep(pace() * {seconds})
    row["steps"] += {step}
    return row


counter = Kind("counter", collection="counters", model=Counter, steps=[Step(upgrade=count_up, to=2)])
"""


def write_package(folder: Path, *, name: str = PACKAGE, seconds: float = 0.002, step: int = 1) -> None:
    """
    Write a package with the kind `counter`.
    """
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(KINDS.format(seconds=seconds, step=step), encoding="utf-8")


@dataclass
class Processes:
    """
    Starts `docstore` in processes of its own, on one database and one package of kinds.
    """

    uri: str
    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, package: str = PACKAGE, terminal: int | None = None) -> subprocess.Popen[str]:
        """
        Start a command; its output goes to pipes, or to the terminal with that file descriptor.
        """
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}",
            "DOCSTORE_URI": self.uri,
            "DOCSTORE_UPGRADERS": package,
            "COLUMNS": "120",
        }
        output = subprocess.PIPE if terminal is None else terminal
        process = subprocess.Popen(
            [sys.executable, "-m", "docstore.cli", *arguments],
            env=environment,
            stdout=output,
            stderr=output,
            text=True,
        )
        self.started.append(process)
        return process

    def worker(self, *options: str, package: str = PACKAGE) -> subprocess.Popen[str]:
        """
        Start a worker whose batches are taken over soon.
        """
        return self.start("worker", "--lease", "2", *options, package=package)

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """
        Run a command to its end.
        """
        process = self.start(*arguments)
        output, errors = await asyncio.to_thread(process.communicate)
        return process.returncode, output, errors

    def slow_down(self) -> None:
        """
        Have the step take long, so that a run is still there when a test gets to it, on a busy machine too.
        """
        (self.folder / PACKAGE / "slow").touch()

    def hurry(self) -> None:
        """
        Have the step take no time any more.
        """
        (self.folder / PACKAGE / "quick").touch()
        (self.folder / PACKAGE / "slow").unlink(missing_ok=True)

    def kill(self) -> None:
        """
        End whatever still runs.
        """
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
async def processes(
    mongod_uri: str, database: AsyncDatabase[dict[str, Any]], tmp_path: Path
) -> AsyncIterator[Processes]:
    """
    Commands on the test's own database; whatever still runs at the end is killed.
    """
    write_package(tmp_path)
    made = Processes(mongod_uri.replace("/?", f"/{database.name}?"), tmp_path)
    yield made
    made.kill()


@pytest.fixture
def counter(tmp_path: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch) -> Kind[Any]:
    """
    The kind `counter` of the package that the processes load.
    """
    assert processes.folder == tmp_path
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    return find_kinds(PACKAGE)["counter"]


def old_rows(count: int) -> list[dict[str, Any]]:
    """
    Rows at version 1.
    """
    return [{"_id": number, "schema_version": 1, "steps": 0, "visits": 0} for number in range(count)]


async def ended(process: subprocess.Popen[str]) -> int:
    """
    Return with what a process leaves.
    """
    return await asyncio.to_thread(process.wait, PATIENCE)


async def until(holds: Callable[[], Awaitable[Any]], *, seconds: float = PATIENCE) -> Any:
    """
    Wait until something holds, and return what it gave.
    """
    end = time.monotonic() + seconds
    while not (found := await holds()):
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.05)
    return found
