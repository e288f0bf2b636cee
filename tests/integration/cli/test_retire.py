"""
`docstore retire`, as it is typed: what it says, what it lets go, and what it moves.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import WriteError

from docstore.discovery import find_kinds
from docstore.fleet.node import Node

PACKAGE = """
from docstore import Document, Kind


class Road(Document):
    name: str = ""
    surface: str = ""
    title: str | None = None


road = Kind("road", collection="roads", model=Road, package=__name__, indexes={1: ["title"], 2: ["name"]})
"""
STEPS = {
    "v0002_name": 'step = Step(ops.RenameField("title", "name"))',
    "v0003_surface": 'step = Step(ops.AddField("surface", ""))',
}


@pytest.fixture
def roads(command_line: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A package with a step in each file, and rows at version 2 that a node stores so.
    """
    folder: Path = tmp_path / command_line.package
    (folder / "__init__.py").write_text(PACKAGE)
    for name, step in STEPS.items():
        (folder / f"{name}.py").write_text(
            f"from docstore import Step\nfrom docstore import operations as ops\n{step}\n"
        )
    for version in (1, 2):
        (folder / "samples" / f"v000{version}").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    command_line.database.roads.insert_many([{"_id": each, "schema_version": 2, "name": "x"} for each in range(3)])
    return folder


@pytest.fixture
def node(roads: Path, command_line: Any, mongod_uri: str) -> None:
    """
    A node that has settled the write version, and has closed.
    """
    del roads

    async def come_and_go() -> None:
        async with AsyncMongoClient[dict[str, Any]](mongod_uri) as client:
            kinds = list(find_kinds(command_line.package).values())
            node = Node(client[command_line.database.name], kinds, service="geo-api", streams=False)
            await node.open()
            await node.close()

    asyncio.run(come_and_go())


@pytest.mark.usefixtures("node")
def test_it_says_what_may_go_before_and_after(command_line: Any, roads: Path) -> None:
    dry = command_line.run("retire", "road", "--below", "2", "--soak", "0", "--dry-run", "--format", "json")
    assert (dry.code, dry.json["state"], dry.json["floor"]) == (0, "possible", None)
    assert dry.json["leftovers"] == {
        "floor": 2,
        "files": [f"{roads.name}/v0002_name.py"],
        "steps": [2],
        "fields": ["title"],
        "samples": [f"{roads.name}/samples/v0001"],
        "indexes": ["title_1"],
    }

    retired = command_line.run("retire", "road", "--below", "2", "--soak", "0", "--why", "release 44")

    assert retired.code == 0
    for part in ("the server lets none in", "3 at version 2", "floor=2", "v0002_name.py", "title_1", "samples/v0001"):
        assert part in retired.output
    with pytest.raises(WriteError):
        command_line.database.roads.insert_one({"schema_version": 1})
    again = command_line.run("retire", "road", "--below", "2", "--format", "json")
    assert (again.code, again.json["state"], again.json["proof"]["why"]) == (0, "retired", "release 44")


@pytest.mark.usefixtures("node")
def test_everything_that_is_in_the_way_is_told_with_its_way_out(command_line: Any) -> None:
    command_line.database.roads.insert_many([{"schema_version": 1}, {"name": "no tag"}])

    refused = command_line.run("retire", "road", "--below", "2", "--format", "json")

    assert refused.code == 3
    assert [blocker["cause"] for blocker in refused.json["blockers"]] == ["rows_below", "rows_untagged", "soak"]
    for part in ("1 row of road at version 1", "docstore backfill start road", "docstore adopt road", "48 h"):
        assert part in refused.errors
    dry = command_line.run("retire", "road", "--below", "2", "--dry-run")
    assert (dry.code, dry.errors.count("error: ")) == (3, 3)


@pytest.mark.usefixtures("node")
def test_archived_steps_are_kept_where_no_service_imports_them(command_line: Any, roads: Path) -> None:
    archived = command_line.run("retire", "road", "--below", "2", "--soak", "0", "--archive")

    assert archived.code == 0
    assert str(roads / "retired" / "v0002_name.py") in archived.output
    assert not (roads / "v0002_name.py").exists()
    init = roads / "__init__.py"
    init.write_text(init.read_text().replace("package=__name__,", "package=__name__, floor=2,"))
    for module in [name for name in sys.modules if name.startswith(command_line.package)]:
        del sys.modules[module]
    kind = find_kinds(command_line.package)["road"]
    assert (kind.floor, kind.latest) == (2, 3)
    assert not any(name.startswith(f"{command_line.package}.retired.v") for name in sys.modules)
    assert command_line.run("retire", "road", "--below", "2", "--archive").code == 0


@pytest.mark.usefixtures("roads")
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--below", "2", "--undo"],
        ["--resume", "--undo"],
        ["--resume", "--soak", "1h"],
        ["--resume", "--why", "later"],
        ["--undo", "--archive"],
        ["--below", "2", "--dry-run", "--archive"],
        ["--undo", "--dry-run"],
        ["--below", "9"],
        ["--below", "1"],
        ["--below", "2", "--soak", "soon"],
    ],
)
def test_what_makes_no_sense_is_a_mistake_in_the_command(command_line: Any, arguments: list[str]) -> None:
    assert command_line.run("retire", "road", *arguments).code == 2


@pytest.mark.usefixtures("roads")
def test_what_was_not_begun_is_not_finished_and_what_nobody_stores_is_not_retired(command_line: Any) -> None:
    undone = command_line.run("retire", "road", "--undo")
    assert (undone.code, "no retirement of road is under way" in undone.errors) == (3, True)

    refused = command_line.run("retire", "road", "--below", "2", "--soak", "0")

    assert (refused.code, "no node has ever worked with road" in refused.errors) == (3, True)


@pytest.mark.usefixtures("node")
def test_an_unproved_floor_says_so(command_line: Any) -> None:
    unproved = command_line.run("retire", "road", "--below", "2", "--soak", "0", "--unfenced")

    assert (unproved.code, "unproved" in unproved.output) == (0, True)
    command_line.database.roads.insert_one({"schema_version": 1})

    refused = command_line.run("retire", "road", "--below", "2", "--soak", "0", "--format", "json")

    assert (refused.code, refused.json["state"], refused.json["floor"]) == (3, "blocked", 2)
    assert refused.json["proof"]["fenced"] is False


@pytest.mark.usefixtures("node")
def test_an_archive_that_cannot_be_written_to_is_told_and_may_be_asked_for_again(
    command_line: Any, roads: Path
) -> None:
    (roads / "retired").write_text("no folder")

    failed = command_line.run("retire", "road", "--below", "2", "--soak", "0", "--archive")

    assert (failed.code, "cannot be moved to retired/v0002_name.py" in failed.errors) == (4, True)
    (roads / "retired").unlink()
    assert command_line.run("retire", "road", "--below", "2", "--archive").code == 0
    assert (roads / "retired" / "v0002_name.py").exists()
