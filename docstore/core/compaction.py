"""
Forgetting the places of removed fields.

Between the stages of one pipeline, and between the arguments of one expression, a server keeps the place of a field
that was removed, or set to something missing: a field of that name that is added later turns up there and not at the
end (seen on 6.0.5). Python has no such memory, and neither has a row that was stored in between. So a document is
rebuilt before a field comes back, which `$mergeObjects` with one argument does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from docstore.core.expressions import Ref, is_type, set_where
from docstore.core.operation import Action, Assign, Remove
from docstore.core.paths import FieldPath, overlap


@dataclass(frozen=True, slots=True)
class Rebuild:
    """
    Rebuild the document at hand without the places of fields that are gone. Sub-documents stay as they are.
    """


#: What a pipeline is made of.
Move: TypeAlias = Action | Rebuild


class Compaction:
    """
    Follows the actions of one pipeline and says what has to be rebuilt, and when.
    """

    def __init__(self) -> None:
        self._gone: list[FieldPath] = []

    def expand(self, actions: Sequence[Action]) -> list[Move]:
        """
        Return the next actions, each after the rebuilding that it needs.
        """
        moves: list[Move] = []
        for action in actions:
            while isinstance(action, Assign) and (met := [path for path in self._gone if _meets(action, path)]):
                moves += self._rebuild(met)
            moves.append(action)
            if isinstance(action, Remove) or not action.total:
                self._forget(action.paths)
        return moves

    def finish(self) -> list[Move]:
        """
        Return the rebuilding of every document that may have lost a field.
        """
        moves: list[Move] = []
        while self._gone:
            moves += self._rebuild(self._gone)
        return moves

    def _forget(self, paths: Iterable[FieldPath]) -> None:
        self._gone += [path for path in paths if path not in self._gone]

    def _rebuild(self, gone: Sequence[FieldPath]) -> list[Move]:
        holders = dict.fromkeys(path[:-1] for path in gone)
        self._gone = [path for path in self._gone if path[:-1] not in holders]
        nested = [holder for holder in holders if holder]
        # Where it is missing, setting it to its rebuilt self leaves a place, too.
        self._forget(holder[:1] for holder in nested)
        moves: list[Move] = [_rebuilt(holder) for holder in nested]
        if () in holders:
            self._gone = [path for path in self._gone if len(path) > 1]
            moves.append(Rebuild())
        return moves


def _meets(action: Assign, gone: FieldPath) -> bool:
    """
    Tell whether the action may add a field where one is gone, or carry the memory of it elsewhere.
    """
    if any(len(ref) < len(gone) and overlap(ref, gone) for ref in action.refs):
        return True
    return not action.in_place and any(overlap(path, gone) for path in action.paths)


def _rebuilt(holder: FieldPath) -> Assign:
    rebuilt = set_where(holder, {"$mergeObjects": [Ref(holder)]}, is_type(Ref(holder), "object"))
    return Assign((rebuilt,), in_place=True)
