"""A query as it was asked, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docstore.core.kind import Kind
from docstore.core.newer_steps import changing
from docstore.core.query import QueryPaths, untouched_part
from docstore.core.stale_query import Way
from docstore.mongo.reading import SortKeys


@dataclass(frozen=True, slots=True)
class Query:
    """
    What is asked: of the latest shape, whatever is stored.

    With *in_client* the caller allows that rows which only Python can upgrade are read for it, however many. Their
    number is logged, unless *announced* says that they are part of what was.
    """

    filter: Mapping[str, Any]
    paths: QueryPaths
    sort: SortKeys = ()
    skip: int = 0
    limit: int = 0
    in_client: bool = False
    announced: bool = False

    def is_touched(self, kind: Kind[Any]) -> bool:
        """Tell whether a step changes anything that the query looks at."""
        return bool(self.paths.touched(changing(kind)))

    def untouched_part(self, kind: Kind[Any]) -> dict[str, Any]:
        """Return the part of the filter that says the same of every row before and after its upgrade."""
        return untouched_part(self.filter, changing(kind))


@dataclass(slots=True)
class Course:
    """
    How a query was answered, filled in while it is.

    *way* is None until it is known. *client_rows* are the rows that Python has to read and upgrade for it, counted
    before the first of them is read.
    """

    way: Way | None = None
    client_rows: int = 0
