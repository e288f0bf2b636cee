"""
What the backfill logs: named in one place, and never a value of a row.
"""

import ast
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from structlog.testing import capture_logs

import docstore.backfill
from docstore import Kind, Step, commands
from docstore import operations as ops
from docstore.backfill import events
from tests.kinds import Place, place_kind, stored

Database = Any
MARK = "m4rked"


def strict() -> Kind[Place]:
    def upgrade(row: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(f"cannot take {row['name']}")

    return Kind("place", collection="places", model=Place, steps=[*place_kind().steps[:1], Step(upgrade=upgrade, to=3)])


def renamed(*, pipeline: list[dict[str, Any]] | None = None) -> Kind[Place]:
    kind = Kind("place", collection="places", model=Place, steps=[Step(ops.RenameField("title", "name"), to=2)])
    if pipeline is not None:
        compiled = kind.compile(1)
        changed = replace(compiled, pipeline=[*compiled.pipeline, *pipeline])
        kind.compile = lambda *_, **__: changed  # type: ignore[method-assign]
    return kind


def modules() -> list[Path]:
    return sorted(Path(docstore.backfill.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("module", modules(), ids=lambda path: path.stem)
def test_only_the_events_module_logs(module: Path) -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(module.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert ("structlog" in imported) is (module.stem == "events")


def test_every_event_is_logged_under_the_name_of_its_function() -> None:
    functions = dict(inspect.getmembers(events, inspect.isfunction))
    assert functions

    for name, function in functions.items():
        facts = {
            fact: "x" if parameter.annotation is str else 1
            for fact, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        with capture_logs() as logs:
            function(**facts)
        (entry,) = logs
        assert entry["event"] == name
        assert entry.keys() - {"event", "log_level"} == facts.keys()


async def test_no_event_carries_a_value_of_a_row(database: Database) -> None:
    with capture_logs() as logs:
        # A step that raises, a row that does not fit the model, a tag that is none.
        await database.places.insert_many(
            [
                stored(2, ObjectId(), MARK),
                stored(3, 2, MARK),
                {**stored(1, 3, MARK), "schema_version": MARK},
            ]
        )
        await commands.backfill(database, strict(), record_error_text=True)
        await commands.quarantine_retry(database, strict(), record_error_text=True)
        # A row at which the server fails, and one of which the two paths make different things.
        await database.places.delete_many({})
        await database.places.insert_many([stored(1, place, MARK) for place in range(20)])
        await commands.backfill(database, renamed(pipeline=[{"$set": {"visits": {"$toInt": "$name"}}}]))
        await database.places.update_many({}, [{"$set": {"schema_version": 1, "title": "$name"}}, {"$unset": "name"}])
        await commands.backfill(database, renamed(pipeline=[{"$set": {"name": {"$toUpper": "$name"}}}]))

    named = {entry["event"] for entry in logs}
    assert {"rows_put_aside", "quarantine_retried", "verification_refused", "batch_failed", "backfill_ended"} <= named
    assert MARK not in repr(logs).lower()
