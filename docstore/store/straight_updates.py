"""
Updates that go straight to the server although rows are stored below latest: which they are, and for which versions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docstore.core.kind import Kind
from docstore.core.query import read_query
from docstore.core.update_translation import stepped_on, touched_fields, translate_update
from docstore.core.write_version import ControlState
from docstore.mongo.reading import SortKeys
from docstore.store.update_request import UpdateRequest

if TYPE_CHECKING:
    from docstore.core.paths import FieldPath


@dataclass(frozen=True, slots=True)
class Statement:
    """
    An update of rows as they are stored, which makes of them what the one that was asked for makes of the latest shape.

    It leaves rows at their versions. Of the rows that match, it leaves out those of other versions, and those that
    keep beside their shape, or lack, what is in the way.
    """

    filter: Mapping[str, Any]
    operators: Mapping[str, Any]
    versions: Sequence[int]
    untagged: bool


class SteppedOn:
    """
    What the steps of a kind read and change between a version and latest; made once, for all updates.
    """

    def __init__(self, kind: Kind[Any]) -> None:
        self.kind = kind
        #: By version: the top-level fields that the steps, or their ways back, touch. A version that is not there has
        #: a function above it, and nobody can tell.
        self.fields: dict[int, frozenset[str]] = {kind.latest: frozenset()}
        #: By version: the paths that rows may have otherwise than at latest.
        self.writes: dict[int, frozenset[FieldPath]] = {kind.latest: frozenset()}
        for step in reversed(kind.steps):
            above, touched = step.to or 0, stepped_on(step)
            if touched is None:
                break
            self.fields[above - 1] = self.fields[above] | touched
            self.writes[above - 1] = self.writes[above] | (step.writes or frozenset())


class StraightUpdate:
    """
    One update, as it can be sent for the rows of each version.

    Args:
        request: The update.
        known: What the steps of its kind touch.
    """

    def __init__(self, request: UpdateRequest, known: SteppedOn) -> None:
        self._request = request
        self._known = known
        self._kind = known.kind
        self._statements: dict[int, Statement | None] = {}
        self._same_from = self._lowest_untouched()

    def everywhere(self, sort: SortKeys = ()) -> Statement | None:
        """
        Return one statement for the rows of all versions, if there is one, which finds the same first row by *sort*.
        """
        kind = self._kind
        if self._same_from > kind.floor or kind.detect is not None:
            return None
        if read_query({}, sort).touched(self._known.writes[kind.floor]):
            return None
        return self.at(kind.floor)

    def at(self, version: int) -> Statement | None:
        """
        Return the statement for rows that stand at a version, and maybe others; None where it takes the latest shape.

        Of a version that this code does not read, that for the nearest one. The same version, the same object.
        """
        version = min(max(version, self._kind.floor), self._kind.latest)
        known = min(version, self._same_from)
        if known not in self._statements:
            self._statements[known] = self._statement(known)
        return self._statements[known]

    def _statement(self, version: int) -> Statement | None:
        kind = self._kind
        if version >= self._same_from:
            untagged = kind.detect is None and kind.baseline >= self._same_from
            versions = range(self._same_from, kind.latest + 1)
            return Statement(self._request.filter, self._request.operators, versions, untagged)
        steps = kind.chain.between(version, kind.latest)
        found = translate_update(self._request.filter, self._request.operators, steps)
        if found is None:
            return None
        untagged = kind.detect is None and kind.baseline == version
        return Statement(found.filter, found.operators, [version], untagged)

    def _lowest_untouched(self) -> int:
        """Return the lowest version from which on no step touches what the update is about."""
        known, kind = self._known, self._kind
        touched, asked = touched_fields(self._request.operators), read_query(self._request.filter)
        lowest = kind.latest
        while (fields := known.fields.get(lowest - 1)) is not None:
            if not fields.isdisjoint(touched) or asked.touched(known.writes[lowest - 1]):
                break
            lowest -= 1
        return lowest


def is_read_only(kind: Kind[Any], control: ControlState) -> bool:
    """
    Tell whether rows could not be stored at the write version because a step above it has no way back.
    """
    version = control.write_version
    return kind.floor <= version < kind.latest and bool(kind.chain.one_way(version, kind.latest))
