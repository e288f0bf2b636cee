"""
Join texts into one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from docstore.core.bson_values import RawDocument, type_name
from docstore.core.expressions import Literal, Ref, absent, is_type, present, readable, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Program, Remove
from docstore.core.origins import Gone, Origin
from docstore.core.paths import MISSING, FieldPath, dotted, parse_path
from docstore.operations.arguments import assign, parse_paths, require_apart, require_several, require_text
from docstore.operations.place import Place, place
from docstore.operations.split_text import SplitText


@dataclass(frozen=True, slots=True, eq=False)
class JoinText(FieldOperation):
    """
    Join texts into one field.

        JoinText(["first", "last"], into="name", separator=" ")
        before  {"first": "Ada", "last": "King Lovelace"}
        after   {"name": "Ada King Lovelace"}

    - Source missing, or under a missing or null parent: left out, with its separator. Where all are, nothing happens.
    - Source anything else than a text, null included: refused.
    - `into` present: refused, unless it is one of the sources, and then it is replaced where it stands. Its parent
      missing: created; null: refused.
    - An array or a scalar above a source or `into`: refused.

    Inverse: `SplitText`. Exact where only the last text contains the separator, nothing but the last ones is missing,
    and the parents of `into` were there.

    Raises:
        InvalidFieldPathError: A path is impossible.
        InvalidOperationError: Fewer than two sources, an empty separator, or paths that overlap.
    """

    sources: Sequence[str]
    into: str
    separator: str
    _sources: tuple[Place, ...] = field(init=False, repr=False, compare=False)
    _into: Place = field(init=False, repr=False, compare=False)
    _dropped: tuple[Place, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        into, paths = parse_path(self.into), parse_paths("JoinText", "sources", self.sources)
        require_several("JoinText", "sources", paths)
        require_text("JoinText", "separator", self.separator)
        require_apart("JoinText", *paths, *(() if into in paths else (into,)))
        places = tuple(place("JoinText", path) for path in paths)
        written = frozenset({*paths, into})
        assign(self, sources=tuple(self.sources), reads=written, writes=written, _into=place("JoinText", into))
        assign(self, _sources=places, _dropped=tuple(place for place in places if place.path != into))

    def change(self, document: RawDocument) -> None:
        """
        Join what is there.
        """
        texts = []
        for source in self._sources:
            text = source.get(document)
            if text is MISSING:
                continue
            if type_name(text) != "string":
                raise source.refuse(text, "string")
            texts.append(text)
        if not texts:
            return
        if len(self._dropped) == len(self._sources):
            self._into.require_absent(document)
        for source in self._dropped:
            source.drop(document)
        self._into.put(document, self.separator.join(texts))

    def invert(self) -> SplitText:
        """
        Return the splitting.
        """
        sources = tuple(dotted(source.path) for source in self._sources)
        return SplitText(self.into, into=sources, separator=self.separator)

    def compile(self) -> Program:
        """
        Set the text where there is a source, unset the sources.
        """
        into, paths = self._into.path, [place.path for place in self._sources]
        # In an array that an expression builds, what is missing becomes null.
        texts = {"$filter": {"input": [Ref(path) for path in paths], "cond": {"$ne": ["$$this", None]}}}
        longer = {"$concat": ["$$value", Literal(self.separator), "$$this"]}
        step = {"$cond": [{"$eq": ["$$value", None]}, "$$this", longer]}
        joined = {"$reduce": {"input": texts, "initialValue": None, "in": step}}
        requires = [*readable(*paths), *writable(into), *(is_type(Ref(path), "string", "missing") for path in paths)]
        if into not in paths:
            requires.append(absent(into))
        action = Assign((set_where(into, joined, {"$or": [present(path) for path in paths]}),))
        return Program(tuple(requires), (action, Remove(tuple(place.path for place in self._dropped))))

    def origin(self, path: FieldPath) -> Origin:
        """
        Return that nothing is left of the sources that are not kept.
        """
        gone = any(path[: len(place.path)] == place.path for place in self._dropped)
        return Gone() if gone else FieldOperation.origin(self, path)
