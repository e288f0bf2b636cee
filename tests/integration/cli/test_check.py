"""
`docstore check`, and lifting restored rows, as they are typed.
"""

import json
from pathlib import Path
from typing import Any

import pytest


def test_sound_steps_are_told_without_a_database(command_line: Any) -> None:
    done = command_line.run("check", "--format", "json")

    assert done.code == 0
    assert done.json["kinds"][0] | {"recorded": None} == done.json["kinds"][0]
    assert (done.json["kinds"][0]["kind"], done.json["database"]) == ("place", None)
    assert "1 to 3" in command_line.run("check").output


@pytest.mark.parametrize("arguments", [["--database"], ["--database", "--format", "table"]])
def test_a_database_is_looked_at_and_not_written(command_line: Any, arguments: list[str]) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})
    done = command_line.run("check", *arguments)

    assert done.code == 0
    assert "fits" in done.output
    assert command_line.database.list_collection_names() == ["places"]


def test_a_database_may_be_named(command_line: Any) -> None:
    done = command_line.run("check", "--database", command_line.database.name, "--format", "json")
    assert json.loads(done.output)["database"] == command_line.database.name


def test_code_that_would_not_open_leaves_with_3_and_the_way_out(command_line: Any, tmp_path: Path) -> None:
    (tmp_path / command_line.package / "__init__.py").write_text(
        "from docstore import Document, Kind\n\n"
        "class Place(Document):\n    name: str\n\n"
        'place = Kind("place", collection="places", model=Place, floor=3)\n'
    )
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "name": "Oslo"})

    done = command_line.run("check", "--database", "--format", "json")

    assert done.code == 3
    assert [found["cause"] for found in json.loads(done.output)["kinds"][0]["refused"]] == ["floor_above_rows"]
    assert "--with-retired" in done.errors


def test_with_retired_goes_with_wait(command_line: Any) -> None:
    for wrong in ([], ["--wait", "--to", "2"], ["--wait", "--dry-run"]):
        assert command_line.run("backfill", "start", "place", "--with-retired", *wrong).code == 2
    done = command_line.run("backfill", "start", "place", "--with-retired", "--wait")
    assert (done.code, "retired" in done.errors) == (4, True)


RETIRING = (
    "from docstore import Document, Kind\n\n"
    "class Place(Document):\n    name: str\n    slug: str\n\n"
    'place = Kind("place", collection="places", model=Place, floor=3, package=__name__)\n'
)
STEP = "from docstore import Step\nfrom docstore import operations as ops\n\nstep = Step(ops.RenameField({}, {}))\n"


def test_steps_below_the_floor_are_told_with_what_to_do_said_once(command_line: Any, tmp_path: Path) -> None:
    package = tmp_path / command_line.package
    (package / "__init__.py").write_text(RETIRING)
    (package / "v0002_title.py").write_text(STEP.format('"t"', '"title"'))
    (package / "v0003_name.py").write_text(STEP.format('"title"', '"name"'))

    done = command_line.run("check")

    assert (done.code, done.errors.count("error:"), done.errors.count("hint:")) == (4, 2, 1)
    assert "`docstore retire place --below 3 --archive`" in done.errors


def test_what_could_not_be_lifted_is_told_with_the_command_that_lifts_it(command_line: Any, tmp_path: Path) -> None:
    package = tmp_path / command_line.package
    retired = package / "retired"
    retired.mkdir()
    (package / "__init__.py").write_text(RETIRING)
    (retired / "__init__.py").touch()
    (retired / "v0002_title.py").write_text(STEP.format('"t"', '"title"'))
    (retired / "v0003_name.py").write_text(STEP.format('"title"', '"name"'))
    command_line.database.places.insert_one({"_id": 1, "schema_version": 2, "title": 5})

    done = command_line.run("backfill", "start", "place", "--with-retired", "--wait")

    assert done.code == 1
    assert "then: docstore backfill start place --with-retired --wait" in done.errors
