"""
`docstore worker --no-throttle`, as it is typed.
"""

from typing import Any

import pytest

from docstore.commands import worker


@pytest.mark.parametrize(("options", "asked"), [((), 1), (("--throttle",), 1), (("--no-throttle",), 0)])
def test_a_worker_asks_how_the_server_is_unless_told_not_to_hold_back(
    command_line: Any, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], asked: int
) -> None:
    opened: list[Any] = []

    def open_signals(database: Any) -> tuple[()]:
        opened.append(database)
        return ()

    monkeypatch.setattr(worker, "open_signals", open_signals)
    command_line.database.places.insert_one({"_id": 1, "schema_version": 1, "title": "Oslo"})
    command_line.run("backfill", "start", "place")

    worked = command_line.run("worker", "--drain", *options)

    assert (worked.code, len(opened)) == (0, asked)
    assert command_line.database.places.find_one({"_id": 1})["schema_version"] == 3
