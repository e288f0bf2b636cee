"""
Telling an observer which calls of a collection ended in an error.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, ParamSpec, TypeVar

from docstore.errors import DocstoreError
from docstore.store.collection import Collection
from docstore.store.cursor import Cursor
from docstore.store.observer import Observer

A = ParamSpec("A")
T = TypeVar("T")

#: What a collection does with one call of the user's.
_CALLS: Final = (
    "bulk",
    "count",
    "delete",
    "delete_many",
    "delete_one",
    "explain",
    "find_one",
    "find_one_and_update",
    "get",
    "insert",
    "insert_many",
    "modify",
    "replace",
    "update",
    "update_many",
    "upsert",
)


def observe_calls(collection: Collection[Any], observer: Observer) -> None:
    """
    Have a collection tell about every call that ends in an error of docstore, from now on.

    Its own methods are replaced, so that a collection that nobody watches has none of this on its way.
    """
    for name in _CALLS:
        setattr(collection, name, _told(getattr(collection, name), observer))
    # These two give a cursor, which asks later.
    setattr(collection, "find", _told_of_find(collection.find, observer))  # noqa: B010 - mypy knows no such assignment
    setattr(collection, "aggregate", _told_of_pipeline(_told(collection.aggregate, observer), observer))  # noqa: B010


def _told(call: Callable[A, Awaitable[T]], observer: Observer) -> Callable[A, Awaitable[T]]:
    @functools.wraps(call)
    async def told(*args: A.args, **kwargs: A.kwargs) -> T:
        try:
            return await call(*args, **kwargs)
        except DocstoreError as error:
            observer.refused(error)
            raise

    return told


def _told_of_find(find: Callable[..., Cursor[Any]], observer: Observer) -> Callable[..., Cursor[Any]]:
    @functools.wraps(find)
    def told(*args: Any, **kwargs: Any) -> Cursor[Any]:
        try:
            cursor = find(*args, **kwargs)
        except DocstoreError as error:
            observer.refused(error)
            raise
        cursor.tell(observer.refused)
        return cursor

    return told


def _told_of_pipeline(
    aggregate: Callable[..., Awaitable[Cursor[Any]]], observer: Observer
) -> Callable[..., Awaitable[Cursor[Any]]]:
    @functools.wraps(aggregate)
    async def told(*args: Any, **kwargs: Any) -> Cursor[Any]:
        cursor = await aggregate(*args, **kwargs)
        cursor.tell(observer.refused)
        return cursor

    return told
