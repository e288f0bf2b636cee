"""
Aggregation expressions with their field references kept apart, so that one expression can be placed anywhere.

An operation writes its expressions against "the document before me". Where that document stands is decided later:
it is the stored row in a pipeline stage, a `$let` variable in a filter, an array's element within `ForEach`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from docstore.core.paths import FieldPath, dotted


@dataclass(frozen=True, slots=True)
class Ref:
    """The value at a path of the document at hand; the empty path is the document itself."""

    path: FieldPath


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as data: a string such as '$price' or a document with operator names stays what it is."""

    value: Any


#: `Ref`, `Literal`, an operator document, a list of expressions, or a constant that cannot be mistaken (a number, a
#: boolean, a type name, a `$$variable` that the expression itself binds).
Expression: TypeAlias = Any

#: The name under which the stored row is addressed.
ROOT: Final = ""


def render(expression: Expression, scope: str = ROOT) -> Any:
    """
    Write an expression as the server takes it.

    Args:
        expression: What to write.
        scope: The variable that holds the document at hand; `ROOT` is the stored row.
    """
    if isinstance(expression, Ref):
        if not expression.path:
            return f"$${scope}" if scope else "$$ROOT"
        return f"$${scope}.{dotted(expression.path)}" if scope else f"${dotted(expression.path)}"
    if isinstance(expression, Literal):
        return {"$literal": expression.value}
    if isinstance(expression, Mapping):
        return {key: render(item, scope) for key, item in expression.items()}
    if isinstance(expression, list | tuple):
        return [render(item, scope) for item in expression]
    return expression


def references(expression: Expression) -> Iterator[FieldPath]:
    """Yield the path of every `Ref` in an expression."""
    if isinstance(expression, Ref):
        yield expression.path
    elif isinstance(expression, Mapping):
        for item in expression.values():
            yield from references(item)
    elif isinstance(expression, list | tuple):
        for item in expression:
            yield from references(item)


def is_type(expression: Expression, *names: str) -> Expression:
    """Build the condition that a value has one of the named BSON types; "missing" is one of them."""
    if len(names) == 1:
        return {"$eq": [{"$type": expression}, names[0]]}
    return {"$in": [{"$type": expression}, list(names)]}


def present(path: FieldPath) -> Expression:
    """Build the condition that a field exists, null included."""
    return {"$ne": [{"$type": Ref(path)}, "missing"]}


def absent(path: FieldPath) -> Expression:
    """Build the condition that a field does not exist."""
    return is_type(Ref(path), "missing")


def set_where(
    path: FieldPath, value: Expression, when: Expression | None = None, *, removes: bool = False
) -> tuple[FieldPath, Expression]:
    """
    Build the assignment that sets a field where a condition holds, and changes nothing elsewhere.

    A plain `$set` of `a.b` to something missing creates an empty `a`. This one leaves `a` alone.

    Args:
        path: The field; its parents are documents or missing.
        value: What to set.
        when: Where to set it; by default, wherever the value is not missing (for fields that are absent before).
        removes: Whether *value* may be missing where *when* holds, to remove the field.
    """
    if len(path) == 1:
        return path, value if when is None else {"$cond": [when, value, Ref(path)]}
    top = path[:1]
    if when is None:
        bound = "dsValue"
        changed = {"$cond": [is_type(f"$${bound}", "missing"), Ref(top), _with_field(top, path[1:], f"$${bound}")]}
        return top, {"$let": {"vars": {bound: value}, "in": changed}}
    return top, {"$cond": [when, _with_field(top, path[1:], value, removes=removes), Ref(top)]}


def _with_field(holder: FieldPath, rest: FieldPath, value: Expression, *, removes: bool = False) -> Expression:
    """
    Build the document at *holder*, or a new one where it is missing, with the field at *rest* within it set.
    """
    document = {"$ifNull": [Ref(holder), Literal({})]}
    if len(rest) > 1:
        inner = _with_field((*holder, rest[0]), rest[1:], value, removes=removes)
        return {"$setField": {"field": Literal(rest[0]), "input": document, "value": inner}}
    changed = {"$setField": {"field": Literal(rest[0]), "input": document, "value": value}}
    # A removed field would keep its place for one of the same name; see `compaction`.
    return {"$mergeObjects": [changed]} if removes else changed


def both(conditions: Sequence[Expression]) -> Expression:
    """Join conditions so that a later one is only evaluated where all earlier ones hold."""
    if not conditions:
        return True
    return conditions[0] if len(conditions) == 1 else {"$and": list(conditions)}


def readable(*paths: FieldPath) -> list[Expression]:
    """
    Build the conditions that everything on the way to the paths is a document, null or not there.

    An array on the way would be mapped over by the server, which no operation means.
    """
    return _parents(paths, "object", "missing", "null")


def writable(*paths: FieldPath) -> list[Expression]:
    """
    Build the conditions that everything on the way to the paths is a document or not there.

    Anything else would be replaced by a document, which no operation means.
    """
    return _parents(paths, "object", "missing")


def _parents(paths: Sequence[FieldPath], *types: str) -> list[Expression]:
    parents = dict.fromkeys(path[:length] for path in paths for length in range(1, len(path)))
    return [is_type(Ref(parent), *types) for parent in parents]
