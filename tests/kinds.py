"""
A small kind for tests: three versions, by an operation and by functions, over a model with nested parts.
"""

from typing import Any

from pydantic import BaseModel, Field

from docstore import Document, Kind, Step
from docstore import operations as ops


class Point(BaseModel):
    x: float
    y: float


class Place(Document):
    name: str
    visits: int = 0
    tags: list[str] = Field(default_factory=list)
    at: Point | None = None
    parts: list[Point] = Field(default_factory=list)
    slug: str = ""


def add_slug(row: dict[str, Any]) -> dict[str, Any]:
    row["slug"] = row["name"].lower()
    return row


def drop_slug(row: dict[str, Any]) -> dict[str, Any]:
    row.pop("slug", None)
    return row


def place_kind(*, floor: int = 1, latest: int = 3) -> Kind[Place]:
    """
    Version 1 has a `title`, version 2 calls it `name`, version 3 has a `slug`.
    """
    steps = [
        Step(ops.RenameField("title", "name"), to=2),
        Step(upgrade=add_slug, downgrade=drop_slug, writes=["slug"], to=3),
    ]
    return Kind("place", collection="places", model=Place, steps=steps[floor - 1 : latest - 1], floor=floor)


def stored(version: int | None, row_id: Any = 1, name: str = "Oslo", **fields: Any) -> dict[str, Any]:
    """
    A row of a place as that version stores it; None stands for a row without a tag, which is at version 1.
    """
    row: dict[str, Any] = {"_id": row_id}
    if version is not None:
        row["schema_version"] = version
    row["title" if version in {None, 1} else "name"] = name
    if version == 3:
        row["slug"] = name.lower()
    return {**row, **fields}
