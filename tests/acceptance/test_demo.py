"""
`docstore demo` as a user runs it: a process of its own, with its output in a pipe.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROWS = "2000"
WIDTH = 100
# Ctrl-C is ignored in background jobs of a shell, and children inherit that.
PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from docstore.cli import main; main()"
)
WITHOUT_UPGRADERS = "import sys; sys.modules['upgraders'] = None; from docstore.cli import main; main()"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """
    A folder for everything temporary that the demo makes.
    """
    return tmp_path


@contextmanager
def started(*arguments: str, home: Path, program: str = PROGRAM, **variables: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "TMPDIR": str(home), **variables}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: str, home: Path, program: str = PROGRAM, **variables: str) -> tuple[int, str, str]:
    with started(*arguments, home=home, program=program, **variables) as process:
        output, errors = process.communicate()
        return process.returncode, output, errors


def left_behind(home: Path) -> list[str]:
    """
    The files in *home*, and the processes that were started with it as their temporary folder.
    """
    found = [str(path.relative_to(home)) for path in home.iterdir()]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # It has ended meanwhile, or is none of ours.
    return found


def wait_until_clean(home: Path) -> None:
    """
    Wait until nothing is left; the timeout of the test bounds it.
    """
    while left_behind(home):
        time.sleep(0.05)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, str, list[str]]:
    """
    One whole run: its exit code, what it printed, and what it left behind.
    """
    home = tmp_path_factory.mktemp("home")
    return *run("demo", "--rows", ROWS, home=home), left_behind(home)


def test_demo_proves_every_claim_and_leaves_nothing_behind(played: tuple[int, str, str, list[str]]) -> None:
    code, output, errors, left = played

    assert (code, errors, left) == (0, "", [])
    chapters = [line[:3] for line in output.splitlines() if re.match(r"\d/6  ", line)]
    assert chapters == [f"{number}/6" for number in range(1, 7)]
    assert "✗" not in output
    proof = re.search(r"✓ ([\d,]+) increments acknowledged, ([\d,]+) stored; 0 of [\d,]+ rows differ", output)
    assert proof is not None
    assert proof[1] == proof[2] != "0"
    assert "100.0 % at version 6" in output
    assert "NewerVersionError: city -1 is at version 7" in output


def test_output_without_a_terminal_is_plain_and_fits_100_columns(played: tuple[int, str, str, list[str]]) -> None:
    _, output, _, _ = played

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", output)
    assert max(map(len, output.splitlines())) <= WIDTH
    assert "4/4  2,000 rows" in output


def test_interrupted_demo_leaves_nothing_behind(home: Path) -> None:
    with started("demo", "--rows", ROWS, home=home) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("4/6"):
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()

    assert process.returncode == 1
    assert errors.splitlines() == ["error: interrupted", "hint: every command may be repeated"]
    assert left_behind(home) == []


@pytest.mark.long
def test_killed_demo_leaves_nothing_behind(home: Path) -> None:
    with started("demo", "--rows", ROWS, home=home) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("4/6"):
                break
        process.kill()
        process.communicate()

    wait_until_clean(home)


@pytest.mark.long
def test_kept_server_can_be_used_as_the_demo_says_and_goes_when_it_is_killed(home: Path) -> None:
    code, output, _ = run("demo", "--rows", ROWS, "--keep", home=home)
    assert code == 0
    uri = re.search(r"DOCSTORE_URI='(.+)'", output)
    pids = re.search(r"kill ([\d ]+?) +#", output)
    assert uri is not None
    assert pids is not None

    refused, table, _ = run("coverage", "city", "--require", "6", home=home, DOCSTORE_URI=uri[1])
    rewritten, _, _ = run("backfill", "start", "city", "--wait", home=home, DOCSTORE_URI=uri[1])
    counted, _, _ = run("coverage", "city", "--require", "6", home=home, DOCSTORE_URI=uri[1])
    for pid in pids[1].split():
        os.kill(int(pid), signal.SIGTERM)

    assert "2,000 rows, 50.0 % at version 6" in table
    assert (refused, rewritten, counted) == (3, 0, 0)
    wait_until_clean(home)


def test_demo_without_a_mongod_says_so_and_runs_on_the_mock(home: Path) -> None:
    code, output, errors = run("demo", "--rows", ROWS, home=home, DOCSTORE_MONGOD="/nonexistent")

    assert (code, errors) == (0, "")
    assert "No MongoDB can run here: DOCSTORE_MONGOD" in output
    assert "mongomock" in output
    assert "100.0 % at version 6" in output
    assert "increments acknowledged" not in output


def test_demo_without_the_repository_says_that_it_needs_a_clone(home: Path) -> None:
    code, output, errors = run("demo", home=home, program=WITHOUT_UPGRADERS)

    assert (code, output) == (2, "")
    assert "the demo runs from a clone of the repository" in errors
    assert "Traceback" not in errors


def test_demo_refuses_a_number_of_rows_together_with_all(home: Path) -> None:
    code, _, errors = run("demo", "--all", "--rows", ROWS, home=home)

    assert code == 2
    assert "--all and --rows" in errors
