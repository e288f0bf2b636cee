"""
What an update may say: operators and filters that cannot break a promise.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson.regex import Regex

from docstore.core.bson_values import RawDocument
from docstore.core.chance import hangs_on_chance
from docstore.core.document import misnomers
from docstore.core.kind import Kind
from docstore.core.query import read_query
from docstore.core.residue import RESIDUE
from docstore.errors import UpdateRefusedError
from docstore.store.encoding import sendable


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """
    An update as it is sent: of which rows, at the latest shape, and how they are changed.
    """

    filter: Mapping[str, Any]
    operators: RawDocument
    #: The same, and the tag of the row that an upsert inserts.
    inserting: RawDocument
    array_filters: Sequence[Mapping[str, Any]] | None
    #: Whether Python may read and match rows that only it can upgrade, however many.
    in_client: bool = False

    @property
    def fixed_id(self) -> Any:
        """The `_id` that the filter asks for, or None: then rows of any id may match."""
        named = self.filter.get("_id")
        if isinstance(named, Regex | re.Pattern):
            return None
        if isinstance(named, Mapping) and next(iter(named), "").startswith("$"):
            return named.get("$eq")
        return named


def update_request(
    kind: Kind[Any],
    filter: Mapping[str, Any],
    operators: Mapping[str, Any],
    array_filters: Sequence[Mapping[str, Any]] | None,
    *,
    in_client: bool = False,
) -> UpdateRequest:
    """
    Return an update as it is sent.

    A pipeline or a whole document could set the tag without the shape, so only operators are taken (P2).

    Raises:
        UpdateRefusedError: The operators or the filter could break a promise.
        UnstorableValueError: A value has no place in BSON.
    """
    check_filter(kind, filter)
    elsewhere = misnomers(kind.model)
    if not isinstance(operators, Mapping) or not operators:
        raise _refusal(kind, "it needs update operators, such as {'$set': {...}}")
    for operator, fields in operators.items():
        if not operator.startswith("$"):
            raise _refusal(kind, "it is a whole document: use replace() or modify()")
        if not isinstance(fields, Mapping):
            raise _refusal(kind, f"{operator} needs a document of paths")
        reason = _touches(kind, operator, fields, elsewhere)
        if reason is not None:
            raise _refusal(kind, f"{operator} {reason}")
    sent = {
        operator: {path: sendable(value, kind=kind.name, path=path) for path, value in fields.items()}
        for operator, fields in operators.items()
    }
    return UpdateRequest(
        filter=filter,
        operators=sent,
        inserting={**sent, "$setOnInsert": {**sent.get("$setOnInsert", {}), kind.version_field: kind.latest}},
        array_filters=None if array_filters is None else sendable(array_filters, kind=kind.name, path="array_filters"),
        in_client=in_client,
    )


def check_filter(kind: Kind[Any], filter: Mapping[str, Any]) -> None:
    """
    Make sure that the filter of a write names fields as rows hold them at the latest shape, and draws none by chance.

    A write looks several times, and would draw again.

    Raises:
        UpdateRefusedError: It names the tag, or a field by a name that only the model has, or hangs on chance.
    """
    if hangs_on_chance(filter):
        reason = "its filter draws rows by chance ($sampleRate, $rand), and would draw again: find the ids first"
        raise _refusal(kind, reason)
    elsewhere = misnomers(kind.model)
    looked_at = read_query(filter)
    if looked_at.names(kind.version_field):
        raise _refusal(kind, f"its filter names the tag {kind.version_field!r}; rows are found at the latest shape")
    if looked_at.names(RESIDUE):
        raise _refusal(kind, f"its filter names {RESIDUE!r}, which is docstore's own")
    for name, stored in elsewhere.items():
        if looked_at.names(name):
            raise _refusal(kind, f"its filter names {name!r}, which rows hold as {stored!r}")


def _refusal(kind: Kind[Any], reason: str) -> UpdateRefusedError:
    return UpdateRefusedError(kind=kind.name, reason=reason)


def _touches(kind: Kind[Any], operator: str, fields: Mapping[str, Any], elsewhere: Mapping[str, str]) -> str | None:
    """Return what an operator touches and must not, or None."""
    touched = _heads(operator, fields)
    if RESIDUE in touched:
        return f"touches {RESIDUE!r}, in which docstore keeps what an older version cannot express"
    if kind.version_field in touched:
        return f"touches the tag {kind.version_field!r}, which docstore writes"
    if "_id" in touched and operator != "$setOnInsert":
        return "touches the _id, which never changes"
    for name in sorted(touched & elsewhere.keys()):
        return f"names {name!r}, which rows hold as {elsewhere[name]!r}"
    return None


def _heads(operator: str, fields: Mapping[str, Any]) -> set[str]:
    """Return the top-level fields that an operator touches."""
    paths = [*fields, *(fields.values() if operator == "$rename" else ())]
    return {str(path).split(".", 1)[0] for path in paths}
