"""
A kind as four releases know it, each of which has something that the one before has no place for.

Version 2 adds a number, version 3 a number and a list where there was one value, version 4 a number and another name.
"""

from typing import Any, Final

from pydantic import Field

from docstore import Document, Kind, Step
from docstore import operations as ops

LAST: Final = 4


class Item1(Document):
    count: int = 0
    tag: int = 0


class Item2(Document):
    count: int = 0
    tag: int = 0
    two: int = 0


class Item3(Document):
    count: int = 0
    tag: list[int] = Field(default_factory=list)
    two: int = 0
    three: int = 0


class Item4(Document):
    total: int = 0
    tag: list[int] = Field(default_factory=list)
    two: int = 0
    three: int = 0
    four: int = 0


MODELS: Final[list[type[Document]]] = [Item1, Item2, Item3, Item4]
STEPS: Final = [
    Step(ops.AddField("two", 0), to=2),
    Step(ops.AddField("three", 0), ops.WrapInList("tag"), to=3),
    Step(ops.AddField("four", 0), ops.RenameField("count", "total"), to=4),
]
#: The number that each version adds.
ADDED: Final = {2: "two", 3: "three", 4: "four"}
#: From here on a tag is a list.
MANY_TAGS: Final = 3


def release(latest: int, *, floor: int = 1) -> Kind[Any]:
    """
    The kind as a release knows it that ends at *latest*.
    """
    steps = STEPS[floor - 1 : latest - 1]
    return Kind("item", collection="items", model=MODELS[latest - 1], steps=steps, floor=floor)


def counter(latest: int) -> str:
    """
    What a release calls the number that every write raises.
    """
    return "total" if latest == LAST else "count"


NEWEST: Final = release(LAST)
