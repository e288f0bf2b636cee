"""
A package of kinds for drills: the newer release has what the older one has no place for.
"""

import json
from pathlib import Path
from typing import Final

MODEL: Final = """
from docstore import Document, Kind

class Item(Document):
    id: int
    name: str
    stock: int = 0
    rating: int = 0
    place: dict[str, int] = {}

item = Kind("item", collection="items", model=Item, package="shop.item")
"""
RENAME: Final = """
from docstore import Step, operations as ops

step = Step(ops.RenameField("title", "name"))
"""
#: A field under another name, one that only the newer shape has, and one within a document that both have.
GROW: Final = """
from docstore import Step, operations as ops

step = Step(ops.RenameField("quantity", "stock"), ops.AddField("rating", 0), ops.AddField("place.shelf", 0))
"""
#: The same by functions: nobody who does not have them can read what they make.
GROW_BY_FUNCTIONS: Final = """
from docstore import Step

def up(row):
    row["stock"] = row.pop("quantity", 0)
    row["rating"] = 0
    row["place"] = {**row.get("place", {}), "shelf": 0}
    return row

def down(row):
    row["quantity"] = row.pop("stock", 0)
    row.pop("rating", None)
    row["place"] = {name: value for name, value in row.get("place", {}).items() if name != "shelf"}
    return row

step = Step(upgrade=up, downgrade=down)
"""
ONE_WAY: Final = """
from docstore import Step

step = Step(upgrade=lambda row: row)
"""


def write_package(folder: Path, last_step: str | None = GROW) -> None:
    """
    Write the package `shop` with the kind `item`, and golden rows of version 2.
    """
    kind = folder / "shop" / "item"
    samples = kind / "samples" / "v0002"
    samples.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text('[tool.docstore]\nupgraders = "shop"\n')
    (folder / "shop" / "__init__.py").write_text("")
    (kind / "__init__.py").write_text(MODEL)
    (kind / "v0002_rename.py").write_text(RENAME)
    if last_step is not None:
        (kind / "v0003_grow.py").write_text(last_step)
    for number in range(1, 6):
        row = {
            "_id": number,
            "schema_version": 2,
            "name": f"thing {number}",
            "quantity": number,
            "place": {"row": number},
            "note": "no model knows this",
        }
        (samples / f"{number}.json").write_text(json.dumps(row))
