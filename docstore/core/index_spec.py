"""
Indexes that a kind declares for a version, as values.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from docstore.core.extended_json import to_text

#: An index as PyMongo takes it: a field, a list of fields or of (field, direction), a mapping, or an `IndexModel`.
Declared: TypeAlias = Any

_ASCENDING: Final = 1
#: What keeps an index from serving every query on its keys, unless it was declared so.
_NARROWING: Final = ("partialFilterExpression", "sparse", "hidden")
#: Options that are no property of what is stored.
_ABOUT_THE_BUILD: Final = frozenset({"name", "key", "v", "background"})


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """
    One index: its keys in order, each with its direction or kind, and its options.
    """

    keys: tuple[tuple[str, Any], ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, declared: Declared) -> "IndexSpec":
        """
        Return what was declared.

        Raises:
            TypeError, ValueError: It is no index.
        """
        document = getattr(declared, "document", None)
        if isinstance(document, Mapping) and isinstance(document.get("key"), Mapping):
            options = {name: value for name, value in document.items() if name != "key"}
            return cls(_keys(document["key"]), options)
        return cls(_keys(declared))

    @property
    def name(self) -> str:
        """
        The name that the index has unless it was declared with another one.
        """
        return str(self.options.get("name") or "_".join(f"{name}_{way}" for name, way in self.keys))

    def command(self, collection: str) -> str:
        """
        Return what builds the index, as mongosh takes it.
        """
        options = {name: value for name, value in self.options.items() if name != "name" or value != self._plain_name}
        further = f", {to_text(options)}" if options else ""
        return f"db.getCollection({json.dumps(collection)}).createIndex({to_text(dict(self.keys))}{further})"

    def is_met_by(self, index: Mapping[str, Any]) -> bool:
        """
        Tell whether an index of the server, as `listIndexes` shows it, does what this one was declared for.
        """
        if _shown_keys(index) != list(self.keys):
            return False
        if any(index.get(name) != self.options.get(name) for name in _NARROWING if name in index):
            return False
        wanted = {name: value for name, value in self.options.items() if name not in _ABOUT_THE_BUILD}
        return all(_agrees(value, index.get(name)) for name, value in wanted.items())

    @property
    def _plain_name(self) -> str:
        return "_".join(f"{name}_{way}" for name, way in self.keys)


@dataclass(frozen=True, slots=True)
class MissingIndex:
    """
    An index that was declared and is not there.
    """

    name: str
    #: What builds it, as mongosh takes it.
    command: str


def indexes_of(declared: Mapping[int, Sequence[Declared]]) -> dict[int, tuple[IndexSpec, ...]]:
    """
    Return the indexes that were declared, by the version whose shape needs them.

    Raises:
        TypeError, ValueError: One is no index, or not listed for a version.
    """
    if not isinstance(declared, Mapping):
        raise TypeError(f"are given as {{version: [index, ...]}}, not as a {type(declared).__name__}")
    found = {}
    for version, indexes in declared.items():
        if type(version) is not int or version < 1:
            raise ValueError(f"are declared for version {version!r}, which is no version")
        if isinstance(indexes, str | Mapping) or not isinstance(indexes, Sequence):
            raise TypeError(f"of version {version} are no list")
        found[version] = tuple(IndexSpec.of(index) for index in indexes)
    return found


def droppable(indexes: Mapping[int, Sequence[IndexSpec]], *, floor: int) -> tuple[IndexSpec, ...]:
    """
    Return the indexes that only versions below the floor need.
    """
    needed = [index for version, declared in indexes.items() if version >= floor for index in declared]
    found: list[IndexSpec] = []
    for version, declared in sorted(indexes.items()):
        if version < floor:
            found += [index for index in declared if index not in needed and index not in found]
    return tuple(found)


def _keys(declared: Any) -> tuple[tuple[str, Any], ...]:
    if isinstance(declared, str):
        declared = [declared]
    pairs = list(declared.items()) if isinstance(declared, Mapping) else declared
    if not isinstance(pairs, Sequence) or not pairs:
        raise ValueError(f"name one as {declared!r}: an index has at least one field")
    keys = [(pair, _ASCENDING) if isinstance(pair, str) else pair for pair in pairs]
    for pair in keys:
        if not (isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[0], str) and pair[0]):  # noqa: PLR2004
            raise ValueError(f"hold the key {pair!r}, which is no field with its direction")
        if not isinstance(pair[1], int | float | str):
            raise TypeError(f"hold the key {pair!r}: a direction is 1, -1 or the name of a kind of index")
    return tuple((name, way) for name, way in keys)


def _shown_keys(index: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """
    Return the keys of an index of the server as they were declared; those of a text index are shown in other words.
    """
    keys: list[tuple[str, Any]] = []
    for name, way in index["key"].items():
        if name == "_fts":
            keys += [(weighed, "text") for weighed in index.get("weights", {})]
        elif name != "_ftsx":
            keys.append((name, way))
    return keys


def _agrees(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        # The server adds what was left to its defaults.
        return all(found.get(name) == value for name, value in wanted.items())
    return bool(wanted == found) or (not wanted and found is None)
