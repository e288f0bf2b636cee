"""Update operators on rows of any version: they only ever meet the latest shape."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from docstore.core.bson_values import RawDocument
from docstore.core.document import Document, misnomers
from docstore.core.kind import Kind
from docstore.core.query import read_query
from docstore.core.row_faults import decoded
from docstore.errors import ConflictError, DocumentExistsError, UpdateRefusedError
from docstore.mongo.driver import AnySession
from docstore.mongo.row_writer import DuplicateRowError, RowWriter, UpdateResult
from docstore.store.composing import RowComposer
from docstore.store.encoding import sendable
from docstore.store.pauses import TRIES, Pause
from docstore.store.query import Queries

D = TypeVar("D", bound=Document)

#: How often an upsert is tried whose key another row has: once more than it takes to lose one race.
UPSERT_TRIES: Final = 3


class Updates(Generic[D]):
    """
    Applies update operators to rows of one kind.

    Two atomic writes for a row that is still old: a rewrite to the latest version under the guard, which changes its
    shape and not its meaning, then the operators with the tag in the filter. Any other writer may come between.
    """

    def __init__(
        self, kind: Kind[D], *, writer: RowWriter, composer: RowComposer[D], queries: Queries[D], pause: Pause
    ) -> None:
        self._kind = kind
        self._writer = writer
        self._composer = composer
        self._queries = queries
        self._pause = pause

    async def apply(
        self,
        filter: Mapping[str, Any],
        operators: Mapping[str, Any],
        *,
        many: bool,
        upsert: bool,
        array_filters: Sequence[Mapping[str, Any]] | None,
        session: AnySession | None,
    ) -> UpdateResult:
        """Apply *operators*; see `Collection.update`."""
        kind = self._kind
        checked = _checked(kind, filter, operators)
        with_tag = _with_tag(kind, checked) if upsert else checked
        picked = None if array_filters is None else sendable(array_filters, kind=kind.name, path="array_filters")

        async def write(where: Mapping[str, Any], *, insert: bool) -> UpdateResult:
            return await self._writer.update(
                where,
                with_tag if insert else checked,
                field=kind.version_field,
                version=kind.latest,
                many=many,
                upsert=insert,
                array_filters=picked,
                session=session,
            )

        for tries in range(1, TRIES + 1):
            try:
                if not many:
                    result = await write(filter, insert=False)
                    if result.matched:
                        return result
                await self._refuse_unreadable(filter, session)
                brought_up = await self._bring_up(filter, limit=0 if many else 1, session=session)
                if many or not brought_up:
                    return await write(filter, insert=upsert)
            except DuplicateRowError as error:
                # Another writer was quicker with an upsert of the same key: its row is updated in the next round.
                if not upsert or tries >= UPSERT_TRIES or _in_transaction(session):
                    raise DocumentExistsError(kind=kind.name, id=_id_in(filter), index=error.index) from error
                await self._pause(tries)
        raise ConflictError(kind=kind.name, id=_id_in(filter), tries=TRIES)

    async def _refuse_unreadable(self, filter: Mapping[str, Any], session: AnySession | None) -> None:
        """Raise what reading would raise if a row matches whose version this code does not read (P4)."""
        kind = self._kind
        raw = await self._writer.outside(
            filter,
            field=kind.version_field,
            versions=range(kind.floor, kind.latest + 1),
            untagged=kind.detect is not None or kind.baseline >= kind.floor,
            session=session,
        )
        if raw is not None:
            kind.version(decoded(raw, kind))

    async def _bring_up(self, filter: Mapping[str, Any], *, limit: int, session: AnySession | None) -> int:
        """Rewrite old rows that match, to the latest version; return how many were met."""
        met = 0
        async for row_id in self._queries.old_ids(filter, limit=limit, session=session):
            await self._rewrite(row_id, session)
            met += 1
        return met

    async def _rewrite(self, row_id: Any, session: AnySession | None) -> None:
        for tries in range(1, TRIES + 1):
            raw = await self._writer.current(row_id, session=session)
            if raw is None:
                return
            if await self._writer.rewrite(raw, self._composer.upgraded(raw), session=session) is not None:
                return
            await self._pause(tries)
        raise ConflictError(kind=self._kind.name, id=row_id, tries=TRIES)


def _id_in(filter: Mapping[str, Any]) -> Any:
    named = filter.get("_id")
    return None if isinstance(named, Mapping) else named


def _in_transaction(session: AnySession | None) -> bool:
    return session is not None and bool(session.in_transaction)


def _with_tag(kind: Kind[Any], operators: RawDocument) -> RawDocument:
    return {**operators, "$setOnInsert": {**operators.get("$setOnInsert", {}), kind.version_field: kind.latest}}


def _checked(kind: Kind[Any], filter: Mapping[str, Any], operators: Mapping[str, Any]) -> RawDocument:
    """
    Return the operators as they are sent, or raise `UpdateRefusedError`.

    A pipeline or a whole document could set the tag without the shape, so only operators are taken (P2).
    """

    def refuse(reason: str) -> UpdateRefusedError:
        return UpdateRefusedError(kind=kind.name, reason=reason)

    elsewhere = misnomers(kind.model)
    looked_at = read_query(filter)
    if looked_at.names(kind.version_field):
        raise refuse(f"its filter names the tag {kind.version_field!r}; rows are found at the latest shape")
    misnamed = [name for name in elsewhere if looked_at.names(name)]
    if misnamed:
        name = misnamed[0]
        raise refuse(f"its filter names {name!r}, which rows hold as {elsewhere[name]!r}")
    if not isinstance(operators, Mapping) or not operators:
        raise refuse("it needs update operators, such as {'$set': {...}}")
    for operator, fields in operators.items():
        if not operator.startswith("$"):
            raise refuse("it is a whole document: use replace() or modify()")
        if not isinstance(fields, Mapping):
            raise refuse(f"{operator} needs a document of paths")
        reason = _touches(kind, operator, fields, elsewhere)
        if reason is not None:
            raise refuse(f"{operator} {reason}")
    return {
        operator: {path: sendable(value, kind=kind.name, path=path) for path, value in fields.items()}
        for operator, fields in operators.items()
    }


def _touches(kind: Kind[Any], operator: str, fields: Mapping[str, Any], elsewhere: Mapping[str, str]) -> str | None:
    """Return what an operator touches and must not, or None."""
    paths = [*fields, *(fields.values() if operator == "$rename" else ())]
    touched = {str(path).split(".", 1)[0] for path in paths}
    if kind.version_field in touched:
        return f"touches the tag {kind.version_field!r}, which docstore writes"
    if "_id" in touched and operator != "$setOnInsert":
        return "touches the _id, which never changes"
    for name in sorted(touched & elsewhere.keys()):
        return f"names {name!r}, which rows hold as {elsewhere[name]!r}"
    return None
