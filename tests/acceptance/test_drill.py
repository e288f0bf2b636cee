"""
`docstore drill` as a user runs it: two releases as real processes, and what must not be left of them.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient

from tests.acceptance.drill_package import GROW_BY_FUNCTIONS, ONE_WAY, write_package

# Ctrl-C is ignored in background jobs of a shell, and children inherit that.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from docstore.cli import main; main()"
)
#: Moving rows comes on top of it.
SECONDS = "2"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """
    A folder with the package of kinds, and one beside it for everything temporary.
    """
    folder = tmp_path / "project"
    folder.mkdir()
    write_package(folder)
    (tmp_path / "home").mkdir()
    return folder


@pytest.fixture
def staging(mongod_uri: str, database_name: str) -> Iterator[tuple[str, Any]]:
    """
    The URI of a staging database whose collection is empty, and the database through the plain driver.
    """
    with MongoClient[dict[str, Any]](mongod_uri) as client:
        client[database_name].create_collection("items")
        yield mongod_uri.replace("/?", f"/{database_name}?"), client[database_name]
        client.drop_database(database_name)


def home_of(project: Path) -> Path:
    return project.parent / "home"


@contextmanager
def started(project: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DOCSTORE_")}
    environment = {**inherited, "TMPDIR": str(home_of(project)), "COLUMNS": "120", **variables}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "drill", "item", *arguments],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(phase: str, process: subprocess.Popen[str]) -> None:
    """
    Return when a phase has begun.
    """
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(phase):
            return
    pytest.fail("".join(said))


def drill(project: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    with started(project, *arguments, **variables) as process:
        output, errors = process.communicate()
        return process.returncode, output, errors


def left_behind(project: Path) -> list[str]:
    """
    The temporary files, the processes that were started for a drill, and the worktrees.
    """
    home = home_of(project)
    found = [path.name for path in home.iterdir()]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # It has ended meanwhile, or is none of ours.
    return found


def worktrees(project: Path) -> int:
    listed = git(project, "worktree", "list", "--porcelain")
    return listed.count("worktree ")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    return subprocess.run(
        ["/usr/bin/env", "git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def drills_of(staging: Any) -> list[str]:
    return [name for name in staging.client.list_database_names() if name.startswith("docstore_drill_")]


def test_releases_hammer_the_same_rows_for_twenty_seconds(
    project: Path, record_property: Callable[[str, object], None]
) -> None:
    """
    Two real processes of adjacent releases, through canary, advance, rollback and advance: no acknowledged write is
    lost, no field stripped, no value of a field that only the newer shape has is lost, and no row stands at a version
    that one of them cannot read.
    """
    # Where the service's own database is does not matter to a drill.
    service = {"DOCSTORE_URI": "mongodb://127.0.0.1:1/service"}
    arguments = ("--rows", "200", "--seconds", "20", "--seed", "7", "--format", "json")
    code, output, errors = drill(project, *arguments, **service)

    assert code == 0, f"{output}{errors}"
    report = json.loads(output)
    assert (report["passed"], report["fault_count"], report["faults"], report["together"]) == (True, 0, [], True)
    assert report["rows_from"] == "copies of 5 golden rows"
    assert [phase["state"] for phase in report["phases"]] == [
        *("stable", "canary", "open", "stable", "open", "complete"),
    ]
    assert all(phase["new_writes"] for phase in report["phases"])
    assert [check["uncertain"] for check in report["checks"]] == [0, 0]
    assert min(report["old"]["writes"], report["new"]["writes"]) > 20
    assert sum(phase["old_writes"] for phase in report["phases"]) <= report["old"]["writes"]
    assert report["checks"][-1]["writes"] == report["old"]["writes"] + report["new"]["writes"]
    assert "advance again: all rows are stored at version 3" in errors
    assert left_behind(project) == []
    for release in ("old", "new"):
        figures = report[release]
        record_property(
            "a drill of 20 s",
            f"{release} release: {figures['writes']} writes, {figures['conflicts']} conflicts, {figures['refused']}",
        )


@pytest.mark.long
def test_releases_that_cannot_read_each_other_are_never_left_together(project: Path, staging: tuple[str, Any]) -> None:
    write_package(project, GROW_BY_FUNCTIONS)

    code, output, errors = drill(project, "--uri", staging[0], "--rows", "30", "--seconds", SECONDS)

    assert code == 0, errors
    assert f"copies of 5 golden rows: items in the staging database {staging[1].name} is empty" in " ".join(
        output.split()
    )
    assert "The old release cannot read version 3: its nodes were stopped before each flip." in output
    assert "Nothing was lost, stripped, or stored where somebody cannot read it." in output
    assert max(map(len, output.splitlines())) <= 120


def test_an_old_release_from_a_git_revision_writes_beside_a_staging_database_that_is_only_read(
    project: Path, staging: tuple[str, Any]
) -> None:
    uri, database = staging
    rows = [{"_id": f"a{n}", "schema_version": 1, "title": f"n{n}", "quantity": n, "place": {}} for n in range(30)]
    database["items"].insert_many(rows)
    model, step = project / "shop" / "item" / "__init__.py", project / "shop" / "item" / "v0003_grow.py"
    whole, grown = model.read_text().replace("id: int", "id: str"), step.read_text()
    step.unlink()
    model.write_text(whole.replace("stock: int = 0", "quantity: int = 0").replace("    rating: int = 0\n", ""))
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "the release before")
    step.write_text(grown)
    model.write_text(whole)

    arguments = ("--uri", uri, "--rows", "20", "--seconds", SECONDS, "--old", "HEAD", "--format", "json")
    code, output, errors = drill(project, *arguments)

    assert code == 0, errors
    report = json.loads(output)
    taken = f"20 rows of items in the staging database {database.name}"
    assert (report["rows_from"], report["rows"], report["passed"]) == (taken, 20, True)
    assert (report["old_release"], report["old"]["latest"]) == ("revision HEAD", 2)
    assert report["old"]["writes"] > 0
    assert list(database["items"].find().sort("_id")) == sorted(rows, key=lambda row: str(row["_id"]))
    assert database.list_collection_names() == ["items"]
    assert drills_of(database) == []
    assert worktrees(project) == 1
    assert left_behind(project) == []


def test_a_revision_that_ends_where_the_new_release_ends_is_refused(project: Path) -> None:
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "the same")

    code, output, errors = drill(project, "--old", "HEAD")
    unknown, _, said = drill(project, "--old", "v9")

    assert (code, output, unknown) == (3, "", 3)
    assert "the old release ends with version 3, and the new one with 3" in errors
    assert "there is no revision 'v9'" in said
    assert worktrees(project) == 1
    assert left_behind(project) == []


def test_a_staging_database_without_the_collection_is_refused(project: Path, staging: tuple[str, Any]) -> None:
    uri, database = staging

    code, output, errors = drill(project, "--uri", uri, "--database", f"{database.name}_typo")

    assert (code, output) == (3, "")
    assert f"the staging database {database.name}_typo has no collection items" in " ".join(errors.split())
    assert drills_of(database) == []
    assert left_behind(project) == []


def test_a_step_without_a_way_back_is_refused(project: Path) -> None:
    write_package(project, ONE_WAY)

    code, output, errors = drill(project)

    assert (code, output) == (3, "")
    assert "step 3 has no way back" in errors


@pytest.mark.long
async def test_an_increment_that_somebody_undoes_behind_everybodys_back_is_found(
    project: Path, staging: tuple[str, Any], mongod_uri: str
) -> None:
    """
    The whole machinery finds what it is there for, in a row that nobody deletes.
    """
    uri, database = staging
    with started(project, "--uri", uri, "--rows", "20", "--seconds", "6", "--format", "json") as process:
        await asyncio.to_thread(wait_for, "canary", process)
        async with AsyncMongoClient[dict[str, Any]](mongod_uri) as client:
            (name,) = drills_of(database)
            undone = await client[name]["items"].update_one({"_id": 1}, {"$inc": {"drill_count": -1}})
        output, _ = await asyncio.to_thread(process.communicate)

    report = json.loads(output)
    assert undone.modified_count == 1
    assert (process.returncode, report["passed"]) == (1, False)
    assert {(fault["fault"], fault["id"], fault["path"]) for fault in report["faults"]} == {
        ("wrong sum of increments", "1", "drill_count: -1")
    }
    assert drills_of(database) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_leaves_nothing_behind(
    project: Path, staging: tuple[str, Any], number: signal.Signals
) -> None:
    uri, database = staging
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "any")
    (project / "shop" / "item" / "v0004_more.py").write_text(
        'from docstore import Step, operations as ops\n\nstep = Step(ops.AddField("more", 0))\n'
    )
    with started(project, "--uri", uri, "--old", "HEAD", "--rows", "30", "--seconds", "10") as process:
        wait_for("before", process)
        assert len(drills_of(database)) == 1
        assert worktrees(project) == 2
        process.send_signal(number)
        _, errors = process.communicate()

    assert process.returncode == 1
    assert errors.splitlines()[-2:] == ["error: interrupted", "hint: every command may be repeated"]
    assert drills_of(database) == []
    assert worktrees(project) == 1
    assert left_behind(project) == []


def test_the_private_mongod_and_the_nodes_of_a_killed_drill_go_by_themselves(project: Path) -> None:
    with started(project, "--rows", "30", "--seconds", "10") as process:
        wait_for("before", process)
        process.kill()
        process.communicate()

    # Journals stay: nobody is left to remove them. The timeout of the test bounds the wait.
    while any(not re.fullmatch(r"docstore-drill-\w+", name) for name in left_behind(project)):
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--database", "geo"], "no --uri says where it is"),
        (["--old", "v1", "--old-model", "shop.item:Item"], "--old and --old-model exclude each other"),
        (["--rows", "0"], "--rows"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_started(project: Path, arguments: list[str], said: str) -> None:
    code, output, errors = drill(project, *arguments)

    assert (code, output) == (2, "")
    assert said in errors
