"""
Which field tells when a row was made.
"""

import datetime
from typing import Any

import pytest
from pydantic import Field

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.creation_field import creation_field


class Renamed(Document):
    """
    Stored under another name.
    """

    made: datetime.datetime | None = Field(default=None, alias="createdAt")


class Text(Document):
    """
    Called so, and no time.
    """

    created_at: str = ""


class Time(Document):
    """
    A time.
    """

    name: str = ""
    created_at: datetime.datetime


def row(raw: dict[str, Any]) -> dict[str, Any]:
    return raw


def kind(model: type[Document], *steps: Step) -> Kind[Any]:
    return Kind("row", collection="rows", model=model, steps=steps)


@pytest.mark.parametrize(
    ("of", "field"),
    [
        (kind(Time), "created_at"),
        (kind(Renamed), "createdAt"),
        (kind(Text), None),
        (kind(Time, Step(ops.RenameField("title", "name"), to=2)), "created_at"),
        (kind(Time, Step(ops.RenameField("since", "created_at"), to=2)), None),
        (kind(Time, Step(upgrade=row, to=2)), None),
        (kind(Time, Step(upgrade=row, writes=["name"], to=2)), "created_at"),
    ],
)
def test_a_time_that_no_step_changes_tells(of: Kind[Any], field: str | None) -> None:
    assert creation_field(of) == field
