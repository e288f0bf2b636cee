"""
`docstore coverage --format html`, as it is typed.
"""

import asyncio
import datetime
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

from docstore import commands
from docstore.core.coverage import Coverage, VersionCount
from docstore.mongo.coverage_samples import add_sample


def test_the_page_tells_what_was_counted_with_what_stands_beside_it(command_line: Any) -> None:
    rows = [{"_id": 1, "schema_version": 2, "name": "Oslo"}, {"_id": 2, "schema_version": 2, "name": "odd"}]
    command_line.database.places.insert_many(rows)
    command_line.run("backfill", "start", "place", "--wait")

    shown = command_line.run("coverage", "--format", "html")

    assert shown.code == 0
    assert shown.output.startswith("<!DOCTYPE html>\n")
    assert shown.output.endswith("</html>\n")
    for words in (
        "2 rows in places, 50.0 % at version 3.",
        "docstore quarantine list place",
        "Last run to version 3",
        "in step 3; version 2 to 3, last seen",
    ):
        assert words in shown.output
    assert "secret" not in shown.output


def test_the_page_draws_the_samples_that_earlier_counts_left(command_line: Any, mongod_uri: str) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 3, "name": "Oslo"})
    first = command_line.run("coverage", "place", "--format", "json").json[0]
    earlier = Coverage(**{**first, "versions": (VersionCount(version=2, rows=1),)})

    # Old samples are forgotten.
    at = commands.utc_now() - datetime.timedelta(days=30)

    async def sampled() -> None:
        async with AsyncMongoClient[dict[str, Any]](mongod_uri) as client:
            await add_sample(client[command_line.database.name], earlier, at=at)

    asyncio.run(sampled())
    shown = command_line.run("coverage", "--format", "html")

    assert f"0.0 % of 1 rows stood at version 3 on {at.date().isoformat()}" in shown.output


def test_the_page_is_written_to_a_file_and_nothing_else_is_said(command_line: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"

    written = command_line.run("coverage", "--format", "html", "--output", str(file), "--create-index")

    assert (written.code, written.output) == (0, "")
    assert "No rows in places yet." in file.read_text(encoding="utf-8")


def test_what_cannot_be_written_is_told(command_line: Any, tmp_path: Path) -> None:
    nowhere = command_line.run("coverage", "--format", "html", "--output", str(tmp_path / "no" / "report.html"))
    table = command_line.run("coverage", "--output", str(tmp_path / "report.html"))

    assert (nowhere.code, nowhere.output) == (1, "")
    assert "cannot be written: No such file or directory" in nowhere.errors
    assert (table.code, list(tmp_path.glob("report*"))) == (2, [])


def test_the_page_tells_of_a_fence_and_when_somebody_took_it_away(command_line: Any) -> None:
    command_line.database.places.insert_one({"_id": 1, "schema_version": 3, "name": "Oslo"})
    applied = command_line.run("fence", "apply", "place")
    standing = command_line.run("coverage", "--format", "html").output
    command_line.database.command({"collMod": "places", "validator": {}})

    gone = command_line.run("coverage", "--format", "html").output

    assert applied.code == 0
    assert "versions 1 to 3 (strict)" in standing
    assert "docstore fence apply place" not in standing
    assert "is gone: the server lets everything in" in gone
    assert "docstore fence apply place" in gone
