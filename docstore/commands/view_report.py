"""
How the views of a kind stand, and for whom they are there.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class ViewReader(StrEnum):
    """For whom a view is there."""

    #: Whoever reads the newest shape.
    LATEST = "latest"
    #: Clients have asked for its version lately (`as_version`).
    CLIENTS = "clients"
    #: It is latest to nodes of an older release that are alive.
    NODES = "nodes"
    #: A reader was declared by hand that reads it (`docstore fleet declare`), or the caller of `views_sync` knows one.
    DECLARED = "declared"
    #: It was named by hand, or was the view of an earlier latest: nobody sees who reads it.
    BY_HAND = "by hand"


class ViewState(StrEnum):
    """How a view stands, or what was done to it."""

    #: Made now.
    CREATED = "created"
    #: It was made of other steps; it has this code's now.
    CHANGED = "changed"
    #: It is as this code makes it.
    CURRENT = "current"
    #: It was made of other steps than this code has; `views sync` changes it.
    STALE = "stale"
    #: It is not there; `views sync` makes it.
    MISSING = "missing"
    #: This code cannot make it; *reason* says why. Where an older one is there, it shows what its steps can bring.
    REFUSED = "refused"
    #: Its version is below the floor; `views sync` drops it.
    RETIRED = "retired"
    #: It was made for readers that were found, and there are none any more; `views sync` drops it.
    UNREAD = "unread"
    #: Newer code has made it, of its own version or of an older one; this code leaves it alone.
    NEWER = "newer"
    #: A collection, or a view of somebody else, has its name.
    FOREIGN = "foreign"
    #: Dropped now.
    DROPPED = "dropped"


class ViewReport(BaseModel):
    """One view of a kind."""

    model_config = ConfigDict(frozen=True)

    kind: str
    view: str
    version: int
    state: ViewState
    #: For whom it is there.
    readers: tuple[ViewReader, ...] = ()
    #: Why it is refused; null otherwise.
    reason: str | None = None
