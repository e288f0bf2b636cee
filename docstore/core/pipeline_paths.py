"""
Which fields of the rows an aggregation depends on, and which other collections it reads.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bson.decimal128 import Decimal128

from docstore.core.paths import FieldPath
from docstore.core.query import EVERYTHING, QueryPaths, has_position, query_path, read_query

#: The stages of an aggregation.
Pipeline: TypeAlias = Sequence[Mapping[str, Any]]

#: They let documents pass, or not, without a look at them.
_BLIND: Final = frozenset({"$limit", "$skip", "$sample", "$unset", "$unionWith"})
#: What they give holds only what their expressions read.
_REDUCING: Final = frozenset(
    {"$group", "$sortByCount", "$bucket", "$bucketAuto", "$replaceWith", "$replaceRoot", "$count"}
)
#: They speak of the collection, not of its rows.
_OF_COLLECTION: Final = frozenset({"$collStats", "$indexStats", "$planCacheStats"})
#: They are possible in the first place only, where rows are as they are stored.
_FIRST: Final = frozenset({"$geoNear", "$search", "$searchMeta", "$vectorSearch", "$changeStream"})


@dataclass(frozen=True, slots=True)
class Join:
    """
    Another collection that an aggregation reads, and what of its rows.

    *followed* is what is asked of rows where they are followed from one to the next, which no upgrade can come before.
    *by_position* is the field that an equality asks by an array position: no expression counts in arrays as that does.
    """

    collection: str
    paths: QueryPaths
    followed: QueryPaths | None = None
    by_position: FieldPath | None = None


def needed_paths(pipeline: Pipeline) -> QueryPaths:
    """
    Return what the outcome of a pipeline depends on; `EVERYTHING` where whole documents come out of it.

    What is not known is taken to look at everything: a new stage makes an aggregation slower, not wrong.
    """
    paths: set[FieldPath] = set()
    first_only: set[str] = set()
    for stage in pipeline:
        operator, argument = _parts(stage)
        looked_at = _looked_at(operator, argument)
        paths |= looked_at.paths
        first_only |= looked_at.first_only
        if _reduces(operator, argument) or EVERYTHING in looked_at.paths:
            return QueryPaths(frozenset(paths), frozenset(first_only))
    return QueryPaths(frozenset({*paths, EVERYTHING}), frozenset(first_only))


def leading_filter(pipeline: Pipeline) -> dict[str, Any]:
    """Return what the `$match` stages say with which a pipeline begins, as one filter."""
    filters: list[dict[str, Any]] = []
    for stage in pipeline:
        operator, argument = _parts(stage)
        if operator != "$match" or not isinstance(argument, Mapping):
            break
        filters.append(dict(argument))
    return filters[0] if len(filters) == 1 else {"$and": filters} if filters else {}


def joins_of(pipeline: Pipeline) -> Iterator[Join]:
    """Yield the other collections that a pipeline reads, also those within its parts."""
    for stage in pipeline:
        operator, argument = _parts(stage)
        if operator == "$facet" and isinstance(argument, Mapping):
            for part in argument.values():
                yield from joins_of(part)
        elif operator == "$unionWith" or (operator in {"$lookup", "$graphLookup"} and isinstance(argument, Mapping)):
            join = join_of(operator, argument)
            if join is not None:
                yield join
                yield from joins_of(within(argument))


def join_of(operator: str, argument: Any) -> Join | None:
    """Return what one of the stages that join reads; None where it names no collection (`$documents`)."""
    collection = argument
    if isinstance(argument, Mapping):
        collection = argument.get("coll" if operator == "$unionWith" else "from")
    if not isinstance(collection, str):
        return None
    if operator == "$graphLookup":
        return Join(collection, _paths([EVERYTHING]), followed=_followed(argument))
    needed = needed_paths(within(argument))
    if not isinstance(argument, Mapping) or "foreignField" not in argument:
        return Join(collection, needed)
    foreign = argument["foreignField"]
    field = query_path(foreign)
    needed = QueryPaths(needed.paths | {field}, needed.first_only | _of_local(argument).first_only)
    return Join(collection, needed, by_position=field if has_position(foreign) else None)


def _followed(graph: Mapping[str, Any]) -> QueryPaths:
    """Return what a `$graphLookup` asks of the rows that it follows."""
    ends = frozenset(query_path(str(graph.get(end))) for end in ("connectFromField", "connectToField"))
    asked = read_query(graph.get("restrictSearchWithMatch", {}))
    # What is found cannot be brought to latest afterwards where it lies within something else.
    odd = [f"the path {graph[name]!r}" for name in ("as", "depthField") if "." in str(graph.get(name, ""))]
    return QueryPaths(ends | asked.paths, asked.first_only | frozenset(odd))


def within(argument: Any) -> Pipeline:
    """Return the pipeline in a stage; an empty one where there is none."""
    pipeline: Pipeline = argument.get("pipeline", ()) if isinstance(argument, Mapping) else ()
    return pipeline


def written_collections(pipeline: Pipeline) -> Iterator[tuple[str | None, str]]:
    """Yield database (None: the same one) and name of each collection that a pipeline writes to."""
    for stage in pipeline:
        operator, argument = _parts(stage)
        into = argument.get("into", argument) if operator == "$merge" and isinstance(argument, Mapping) else argument
        if operator not in {"$out", "$merge"}:
            continue
        if isinstance(into, Mapping):
            yield into.get("db"), str(into.get("coll"))
        else:
            yield None, str(into)


def _parts(stage: Mapping[str, Any]) -> tuple[str, Any]:
    return next(iter(stage.items()), ("", None))


def _looked_at(operator: str, argument: Any) -> QueryPaths:
    if operator == "$match":
        return read_query(argument)
    if operator == "$sort":
        return read_query({}, list(argument.items()))
    if operator in _BLIND or operator in _OF_COLLECTION or operator == "$count":
        return _paths(())
    if operator in {"$set", "$addFields"} or operator in _REDUCING:
        # These order by fields that they name without a dollar.
        return _paths([EVERYTHING]) if _holds(argument, "sortBy") else _of_expressions([argument])
    if operator == "$unwind":
        return _of_expressions([argument.get("path") if isinstance(argument, Mapping) else argument])
    if operator == "$project":
        return _paths(_projected(argument, ()))
    if operator == "$lookup":
        local = _of_local(argument)
        return QueryPaths(local.paths | _of_expressions([argument.get("let")]).paths, local.first_only)
    if operator == "$graphLookup":
        return _of_expressions([argument.get("startWith")])
    if operator == "$facet":
        parts = [needed_paths(part) for part in argument.values()]
        return QueryPaths(
            frozenset().union(*(part.paths for part in parts)), frozenset().union(*(part.first_only for part in parts))
        )
    return QueryPaths(frozenset({EVERYTHING}), frozenset({operator} & _FIRST))


def _of_local(lookup: Mapping[str, Any]) -> QueryPaths:
    """Return what a `$lookup` compares of the rows that come to it."""
    if "localField" not in lookup:
        return _paths(())
    path = lookup["localField"]
    # Whether a server counts in arrays or looks for a field of that name hangs on all the other stages.
    odd = [f"the array position in the localField {path!r}"] if has_position(path) else []
    return QueryPaths(frozenset({query_path(path)}), frozenset(odd))


def _reduces(operator: str, argument: Any) -> bool:
    if operator == "$project":
        return _includes(argument)
    return operator in _REDUCING or operator in _OF_COLLECTION or operator == "$facet"


def _projected(fields: Mapping[str, Any], holder: FieldPath) -> Iterator[FieldPath]:
    """Yield what a projection shows or computes."""
    for name, value in fields.items():
        path = (*holder, *query_path(name))
        if isinstance(value, Mapping) and not next(iter(value), "$").startswith("$"):
            yield from _projected(value, path)
        elif isinstance(value, bool | int | float | Decimal128):
            if _says_yes(value):
                # An empty holder is shown too, which a step may have made for a neighbour.
                yield path[:1]
        else:
            yield from _of_expressions([value]).paths


def _includes(fields: Any) -> bool:
    """Tell whether a projection names what it shows, and not what it leaves out."""
    leaves = [value for name, value in fields.items() if name != "_id"] or list(fields.values())
    return any(_includes(leaf) if isinstance(leaf, Mapping) and leaf else _says_yes(leaf) for leaf in leaves)


def _says_yes(value: Any) -> bool:
    # Python calls every Decimal128 true.
    return bool(value.to_decimal() if isinstance(value, Decimal128) else value)


def _of_expressions(expressions: Iterable[Any]) -> QueryPaths:
    return _paths(path for each in expressions for path in read_query({"$expr": each}).paths)


def _paths(paths: Iterable[FieldPath]) -> QueryPaths:
    return QueryPaths(frozenset(paths), frozenset())


def _holds(value: Any, name: str) -> bool:
    if isinstance(value, Mapping):
        return name in value or any(_holds(item, name) for item in value.values())
    return isinstance(value, list | tuple) and any(_holds(item, name) for item in value)
