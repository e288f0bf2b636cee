import datetime
import io

import pytest
from rich.console import Console

from docstore import Document, Kind, Step
from docstore.cli.coverage_table import coverage_table, share
from docstore.core.coverage import ClientVersion, coverage_of


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0.0 %"),
        (1e-9, "<0.1 %"),
        (0.3333, "33.3 %"),
        (0.9996, ">99.9 %"),
        (1.0, "100.0 %"),
    ],
)
def test_all_and_none_are_said_only_where_they_are_true(fraction: float, text: str) -> None:
    assert share(fraction) == text


def test_versions_that_clients_ask_for_are_named_with_how_often_and_when() -> None:
    asked = ClientVersion(version=1, asks=1200, last_asked=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC))
    kind = Kind("note", collection="notes", model=Document, steps=[Step(to=2, upgrade=dict)])
    report = coverage_of(kind, [], quarantined=0, counted_at=asked.last_asked, exact=True, client_versions=[asked])
    written = io.StringIO()

    Console(file=written, width=100).print(coverage_table(report))

    assert "asked for by clients: version 1, 1,200 times, last 2026-01-02" in written.getvalue()
