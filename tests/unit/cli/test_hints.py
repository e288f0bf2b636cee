"""
What to do next stands below every error that a user can meet.
"""

import pytest

from docstore import errors
from docstore.cli.hints import hint_for


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (errors.UnknownKindError(kind="a", known=["b"], where="here"), "--upgraders"),
        (errors.UpgradersNotFoundError(package="a", reason="b"), "--upgraders"),
        (errors.VersionRangeError(kind="a", asked=9, floor=1, latest=2), "docstore coverage"),
        (errors.InvalidUriError(uri="a", reason="b"), "mongodb://"),
        (errors.BackfillRefusedError(kind="a", reason="b"), "docstore coverage"),
        (errors.BackfillRefusedError(kind="a", reason="b", advice="wait for it"), "wait for it"),
        (errors.IllegalTransitionError(before="a", after="b", allowed=[]), "docstore backfill status"),
        (errors.RolloutRefusedError(kind="a", asked="b", blockers=[]), "docstore rollout status"),
        (errors.RunNotFoundError(kind="a"), "docstore backfill start a"),
        (errors.StoreUnavailableError(reason="a"), "server"),
        (errors.StoreRejectedError(reason="AuthenticationFailed", code=18), "password"),
        (errors.StoreRejectedError(reason="odd", code=1), "DOCSTORE_DEBUG"),
    ],
)
def test_every_error_says_what_to_do(error: errors.DocstoreError, part: str) -> None:
    assert part in (hint_for(error) or "")
