"""
Where two rows differ, by path and never by value.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from docstore.core.bson_values import identical

#: Paths that are named at most.
MOST_PATHS: Final = 10


def differing_paths(first: Any, second: Any) -> tuple[str, ...]:
    """
    Return the paths at which the BSON of two values differs, the first `MOST_PATHS` of them.

    A document whose fields are the same in another order differs at its own path; the row itself is called `(row)`.
    """
    return tuple(islice(_differing(first, second, ""), MOST_PATHS))


def _differing(first: Any, second: Any, path: str) -> Iterator[str]:
    if identical(first, second):
        return
    if isinstance(first, dict) and isinstance(second, dict):
        names = list(dict.fromkeys((*first, *second)))
        inner = [(name, name in first and name in second) for name in names]
        found = False
        for name, in_both in inner:
            here = f"{path}.{name}" if path else name
            places = _differing(first[name], second[name], here) if in_both else iter([here])
            for place in places:
                found = True
                yield place
        if not found:
            yield path or "(row)"
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for place, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _differing(one, other, f"{path}.{place}")
    else:
        yield path or "(row)"
