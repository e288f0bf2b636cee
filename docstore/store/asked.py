"""A query as it was asked, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docstore.core.kind import Kind
from docstore.core.newer_steps import changing
from docstore.core.query import QueryPaths, untouched_part
from docstore.core.residue import RESIDUE
from docstore.core.stale_branch import Way
from docstore.errors import QueryRefusedError
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


def check_names(kind: Kind[Any], paths: QueryPaths, elsewhere: Mapping[str, str]) -> None:
    """
    Make sure that a query names fields as rows hold them at the latest shape, and none of docstore's own.

    Args:
        kind: Whose rows are asked about.
        paths: What the query looks at.
        elsewhere: The fields that have another name in the model, with their names in rows.

    Raises:
        QueryRefusedError: It does not.
    """
    if paths.names(kind.version_field):
        raise QueryRefusedError(
            kind=kind.name,
            reason=f"it names the tag {kind.version_field!r}",
            advice="every row is found at the latest shape; how many are stored at which version is coverage",
        )
    if paths.names(RESIDUE):
        raise QueryRefusedError(
            kind=kind.name,
            reason=f"it names {RESIDUE!r}, which is docstore's own",
            advice="what is kept there is found where the latest shape has it",
        )
    for name, stored in elsewhere.items():
        if paths.names(name):
            raise QueryRefusedError(
                kind=kind.name,
                reason=f"it names {name!r}, which rows hold as {stored!r}",
                advice="filters and sort keys name fields as they are stored",
            )


@dataclass(slots=True)
class Course:
    """
    How a query was answered, filled in while it is.

    *way* is None until it is known. *client_rows* are the rows that Python has to read and upgrade for it, counted
    before the first of them is read.
    """

    way: Way | None = None
    client_rows: int = 0
