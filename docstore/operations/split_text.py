"""
Split a text into several fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docstore.core.bson_values import RawDocument, type_name
from docstore.core.expressions import Expression, Literal, Ref, absent, is_type, readable, set_where, writable
from docstore.core.operation import Assign, FieldOperation, Program
from docstore.core.paths import MISSING, parse_path
from docstore.operations.arguments import assign, parse_paths, require_apart, require_several, require_text
from docstore.operations.place import Place, place

if TYPE_CHECKING:
    from docstore.operations.join_text import JoinText


@dataclass(frozen=True, slots=True, eq=False)
class SplitText(FieldOperation):
    """
    Split a text into several fields. What is left over goes to the last, separators included.

        SplitText("name", into=["first", "last"], separator=" ")
        before  {"name": "Ada King Lovelace"}
        after   {"first": "Ada", "last": "King Lovelace"}

    - Missing or null, or under a missing or null parent: nothing happens.
    - Fewer parts than fields: the last fields are not set.
    - Anything else than a text: refused.
    - Target present: refused, unless it is *path* itself, which is then replaced where it stands. Target's parent
      missing: created where there is a part; null: refused.
    - An array or a scalar above the text or a target: refused.

    Inverse: `JoinText`. Exact for texts, where the targets' parents were there.

    Raises:
        InvalidFieldPathError: A path is impossible.
        InvalidOperationError: Fewer than two targets, an empty separator, or paths that overlap.
    """

    path: str
    into: Sequence[str]
    separator: str
    _source: Place = field(init=False, repr=False, compare=False)
    _targets: tuple[Place, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        path, targets = parse_path(self.path), parse_paths("SplitText", "into", self.into)
        require_several("SplitText", "into", targets)
        require_text("SplitText", "separator", self.separator)
        require_apart("SplitText", *targets, *(() if path in targets else (path,)))
        paths = frozenset({path, *targets})
        assign(self, into=tuple(self.into), reads=paths, writes=paths, _source=place("SplitText", path))
        assign(self, _targets=tuple(place("SplitText", target) for target in targets))

    def change(self, document: RawDocument) -> None:
        """
        Split the text, if there is one.
        """
        text = self._source.get(document)
        if text is MISSING or text is None:
            return
        if type_name(text) != "string":
            raise self._source.refuse(text, "string")
        parts = text.split(self.separator, len(self._targets) - 1)
        stays = False
        for position, target in enumerate(self._targets):
            if target.path == self._source.path:
                stays = position < len(parts)
            else:
                target.require_absent(document)
        if not stays:
            self._source.drop(document)
        # Not strict: there may be fewer parts.
        for target, part in zip(self._targets, parts, strict=False):
            target.put(document, part)

    def invert(self) -> "JoinText":
        """
        Return the joining of the parts.
        """
        from docstore.operations.join_text import JoinText  # noqa: PLC0415 - each is the inverse of the other

        return JoinText(self.into, into=self.path, separator=self.separator)

    def compile(self) -> Program:
        """
        Set every target to its part, then the text itself.
        """
        source, targets = self._source.path, [place.path for place in self._targets]
        is_text = is_type(Ref(source), "string")
        actions: list[Assign] = []
        # One action each, because two nested targets may share a parent; the text itself last, since all read it.
        for position, target in enumerate(targets):
            if target != source:
                part = {"$cond": [is_text, self._part(position), "$$REMOVE"]}
                actions.append(Assign((set_where(target, part),)))
        # A null stays where it is, so the text is not simply unset.
        itself = self._part(targets.index(source)) if source in targets else "$$REMOVE"
        actions.append(Assign((set_where(source, itself, is_text, removes=True),), in_place=True))
        others = [target for target in targets if target != source]
        fits = is_type(Ref(source), "string", "null", "missing")
        return Program((*readable(source), *writable(*targets), *map(absent, others), fits), tuple(actions))

    def _part(self, position: int) -> Expression:
        text = Ref(self._source.path)
        parts = {"$split": [text, Literal(self.separator)]}
        if position < len(self._targets) - 1:
            return {"$arrayElemAt": [parts, position]}
        before = [{"$strLenBytes": {"$arrayElemAt": [parts, number]}} for number in range(position)]
        separators = position * len(self.separator.encode())
        rest = {"$substrBytes": [text, {"$add": [separators, *before]}, -1]}
        return {"$cond": [{"$gt": [{"$size": parts}, position]}, rest, "$$REMOVE"]}
