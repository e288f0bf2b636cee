"""
The fence as a value: a clause of a collection's validator that bounds the tag, next to what users put there themselves.

    no validator                {"$jsonSchema": FENCE}
    {"name": {"$type": 2}}      {"$and": [{"name": {"$type": 2}}, {"$jsonSchema": FENCE}]}

The clause is found again by its title, and says in its description what it bounds: the server repeats both in the
details of error 121.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.bson_values import RawDocument, type_name
from docstore.core.coverage import TagCount
from docstore.core.version import tag_version

#: By which a clause of a validator is known as the fence.
TITLE: Final = "docstore fence"
#: The types that a tag may have under it; a double would be a version too, and a shell writes one by mistake.
TYPES: Final = ("int", "long")

_DESCRIPTION: Final = re.compile(
    r"rows of (?P<kind>.+) are stored at versions (?P<low>\d+) to (?P<high>\d+) only, in (?P<field>.+)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class FenceBounds:
    """
    What a fence lets in: rows whose tag *field* is an int or a long from *low* to *high*, both included.
    """

    kind: str
    field: str
    low: int
    high: int

    @property
    def clause(self) -> RawDocument:
        """
        Return the fence as a part of a validator; rows with no tag, or with an array for a tag, do not meet it.
        """
        return {
            "$jsonSchema": {
                "title": TITLE,
                "description": f"rows of {self.kind} are stored at versions {self.low} to {self.high} only, "
                f"in {self.field}",
                "required": [self.field],
                "properties": {self.field: {"bsonType": list(TYPES), "minimum": self.low, "maximum": self.high}},
            }
        }

    def outside(self, tags: Iterable[TagCount]) -> list[TagCount]:
        """
        Return those of the counted tags that are not let in.
        """
        return [each for each in tags if not (each.type in TYPES and self.low <= each.value <= self.high)]

    @classmethod
    def of_description(cls, description: object) -> "FenceBounds | None":
        """
        Return the bounds that a fence's description tells; None if it tells none.
        """
        found = _DESCRIPTION.fullmatch(description) if isinstance(description, str) else None
        return None if found is None else cls(found["kind"], found["field"], int(found["low"]), int(found["high"]))


@dataclass(frozen=True, slots=True)
class ValidatorParts:
    """
    A validator, taken apart.
    """

    #: What is not the fence; None where nothing is.
    own: RawDocument | None
    #: None where there is no fence, or where its clause was changed by hand.
    bounds: FenceBounds | None
    #: Whether a clause has the fence's title, and is not what docstore puts there.
    altered: bool = False


def merge(own: Mapping[str, Any] | None, bounds: FenceBounds) -> RawDocument:
    """
    Return the validator that holds rows to both: the users' *own* rules, as they are, and the fence.
    """
    return {"$and": [dict(own), bounds.clause]} if own else bounds.clause


def split(validator: Mapping[str, Any] | None) -> ValidatorParts:
    """
    Return what of a validator is the fence, and what is the users' own.

    `split(merge(own, bounds))` gives *own* and *bounds* back, also after users have changed their part, put more
    clauses beside the fence, or put the whole into another `$and`. A clause under any other operator bounds nothing and
    stays with the users' part.
    """
    found: list[Mapping[str, Any]] = []
    own = _without(validator or {}, found)
    if not found:
        return ValidatorParts(own or None, None)
    bounds = _bounds_of(found[0]) if len(found) == 1 else None
    return ValidatorParts(own or None, bounds, altered=bounds is None)


@dataclass(frozen=True, slots=True)
class FenceFault:
    """
    What a fence said of a row that it did not let in.
    """

    bounds: FenceBounds
    #: The version of the row; None where its tag was missing or had a wrong type.
    version: int | None
    #: What was found where the tag is to be: a type's name, or "nothing".
    found: str


def fault_of(info: object) -> FenceFault | None:
    """
    Return what the details of an error 121 (`errInfo`) say of a fence; None where no fence refused the row.
    """
    for schema in _schemas(info):
        bounds = FenceBounds.of_description(schema.get("description"))
        if schema.get("title") == TITLE and bounds is not None:
            return _fault(bounds, schema)
    return None


def _without(validator: Mapping[str, Any], found: list[Mapping[str, Any]]) -> RawDocument:
    """
    Return a validator without the fences in it, and add those to *found*.
    """
    rest: RawDocument = {}
    removed = False
    for name, value in validator.items():
        if name == "$jsonSchema" and isinstance(value, Mapping) and value.get("title") == TITLE:
            found.append(value)
            removed = True
        elif name == "$and" and isinstance(value, list):
            before = len(found)
            parts = [_without(part, found) if isinstance(part, Mapping) else part for part in value]
            if len(found) == before:
                rest[name] = value
            else:
                # What was nothing but the fence is gone; an empty condition of the users' own holds of every row.
                removed = True
                left = [part for part in parts if part]
                if len(left) == 1 and len(validator) == 1 and isinstance(left[0], dict):
                    return left[0]
                if left:
                    rest[name] = left
        else:
            rest[name] = value
    return rest if removed else dict(validator)


def _bounds_of(schema: Mapping[str, Any]) -> FenceBounds | None:
    bounds = FenceBounds.of_description(schema.get("description"))
    # A validator that was copied through a shell has its numbers as doubles, which mean the same.
    return bounds if bounds is not None and schema == bounds.clause["$jsonSchema"] else None


def _schemas(info: object) -> Iterator[Mapping[str, Any]]:
    """
    Yield what the server says about each `$jsonSchema` that a row does not meet.
    """
    if isinstance(info, Mapping):
        if info.get("operatorName") == "$jsonSchema":
            yield info
        for value in info.values():
            yield from _schemas(value)
    elif isinstance(info, list):
        for value in info:
            yield from _schemas(value)


def _fault(bounds: FenceBounds, schema: Mapping[str, Any]) -> FenceFault:
    for rule in schema.get("schemaRulesNotSatisfied", ()):
        for field in rule.get("propertiesNotSatisfied", ()):
            for detail in field.get("details", ()):
                if "consideredValue" in detail:
                    tag = detail["consideredValue"]
                    version = tag_version(tag) if type_name(tag) in TYPES else None
                    return FenceFault(bounds, version, type_name(tag))
    return FenceFault(bounds, None, "nothing")
