"""
A kind as four releases know it, each of which has something that the one before has no place for.

Version 2 adds a number, version 3 a number and a list where there was one value, version 4 a number and another name.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
#: By the version that each produces, without the first.
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
    What a release calls the number that every change raises.
    """
    return "total" if latest == LAST else "count"


NEWEST: Final = release(LAST)


def first_row(id: Any, version: int) -> dict[str, Any]:
    """
    A row that nobody has changed, as a version stores it.
    """
    return NEWEST.upgrade({"_id": id, "schema_version": 1, "count": 0, "tag": 0}, to=version)


@dataclass(frozen=True, slots=True)
class Change:
    """
    One change of a row by a release: it raises the count, and sets and adds what the release has a place for.
    """

    latest: int
    #: Higher than that of every change before.
    number: int

    @property
    def field(self) -> str | None:
        names = [name for version, name in ADDED.items() if version <= self.latest]
        return names[self.number % len(names)] if names else None

    @property
    def tags(self) -> bool:
        # Now and then only: code of before does not change a row with several.
        return self.latest >= MANY_TAGS and self.number % 4 == 0

    def of(self, item: Any) -> Any:
        """
        Change a document.
        """
        name = counter(self.latest)
        setattr(item, name, getattr(item, name) + 1)
        if self.field is not None:
            setattr(item, self.field, max(getattr(item, self.field), self.number))
        if self.tags:
            item.tag = [*item.tag, self.number]
        return item

    def operators(self) -> dict[str, Any]:
        """
        Return the same as update operators.
        """
        operators: dict[str, Any] = {"$inc": {counter(self.latest): 1}}
        if self.field is not None:
            operators["$max"] = {self.field: self.number}
        if self.tags:
            operators["$push"] = {"tag": self.number}
        return operators


@dataclass
class Known:
    """
    What was acknowledged of one row.
    """

    #: How often its count was raised, and how often nobody knows whether it was.
    raised: int = 0
    doubtful: int = 0
    #: The highest number that was written into each field, and all that were added to its list.
    highest: Counter[str] = field(default_factory=Counter)
    tags: set[int] = field(default_factory=set)

    def acknowledge(self, change: Change) -> None:
        self.raised += 1
        if change.field is not None:
            self.highest[change.field] = max(self.highest[change.field], change.number)
        if change.tags:
            self.tags.add(change.number)

    def missing(self, seen: Mapping[str, Any], latest: int) -> Iterator[str]:
        """
        Say what is not there of it in a row, as a release sees it (P11).
        """
        count = seen[counter(latest)]
        if not self.raised <= count <= self.raised + self.doubtful:
            yield f"P11: {self.raised} changes (and {self.doubtful} in doubt) were made, and {count} are counted"
        for version, name in ADDED.items():
            if version <= latest and seen[name] < self.highest[name]:
                yield f"P11: {name} is {seen[name]}, and was {self.highest[name]}"
        if latest >= MANY_TAGS and not self.tags <= set(seen["tag"]):
            yield f"P11: {sorted(self.tags - set(seen['tag']))} are gone from the list"
