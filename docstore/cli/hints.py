"""
What to do about errors that say nothing of it themselves, for whoever types commands.
"""

from typing import Final

from docstore.cli.ways_out import ways_out
from docstore.errors import (
    BackfillRefusedError,
    DocstoreError,
    IllegalTransitionError,
    InvalidUriError,
    RolloutRefusedError,
    StoreRejectedError,
    StoreUnavailableError,
    UnknownKindError,
    VersionRangeError,
)

#: "AuthenticationFailed" and "Unauthorized" among the server's codes.
_WHO: Final = frozenset({13, 18})

# The first class that fits decides.
_HINTS: Final[tuple[tuple[type[DocstoreError], str], ...]] = (
    (
        UnknownKindError,
        "name one of the kinds found, or the package that holds yours: --upgraders, or DOCSTORE_UPGRADERS",
    ),
    (VersionRangeError, "docstore coverage shows the versions of every kind and where its rows stand"),
    (InvalidUriError, "a URI looks like mongodb://USER:PASSWORD@HOST:PORT/DATABASE; --uri, or DOCSTORE_URI"),
    (IllegalTransitionError, "docstore backfill status shows how the run stands"),
    (RolloutRefusedError, "docstore fleet and docstore rollout status show who is there and how it stands"),
    (BackfillRefusedError, "docstore coverage and docstore backfill status show what stands in the way"),
    (StoreUnavailableError, "see that a server answers there, from this machine; every command may be repeated"),
    (StoreRejectedError, "DOCSTORE_DEBUG=1 shows which call it was"),
)


def hint_for(error: DocstoreError) -> str | None:
    """
    Return what to do next: the error's own advice, or what its class lets one say.
    """
    if error.advice is not None:
        return error.advice
    if isinstance(error, RolloutRefusedError) and (out := ways_out(error.blockers)) is not None:
        return out
    if isinstance(error, StoreRejectedError) and error.code in _WHO:
        return "see that the URI names the right user and password, and that this user may do it"
    return next((hint for kind, hint in _HINTS if isinstance(error, kind)), None)
