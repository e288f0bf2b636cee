"""
What to do next stands below every error that a user can meet.
"""

import pytest

from docstore import errors
from docstore.cli.hints import hint_for
from docstore.cli.ways_out import ways_out
from docstore.core.blocker import Blocker, Cause, facts_of


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


def _refused(*blockers: Blocker) -> errors.RolloutRefusedError:
    return errors.RolloutRefusedError(kind="a", asked="b", blockers=[facts_of(blocker) for blocker in blockers])


@pytest.mark.parametrize(
    ("blocker", "part"),
    [
        (Blocker(Cause.NO_LIVE_NODE, "city", "w"), "--no-fleet"),
        (Blocker(Cause.UNCLEAN_DEATH, "city", "w", {"instance": "pod-{7}"}), "--ignore-node pod-{7}"),
        (Blocker(Cause.OTHER_ROLLOUT, "city", "w", {"other": "road"}), "--alongside"),
        (Blocker(Cause.FROZEN, "city", "w"), "docstore rollout unfreeze"),
        (Blocker(Cause.MISSING_INDEX, "city", "w"), "--create-indexes"),
        (Blocker(Cause.READER_CANNOT_READ, "city", "w", {"service": "jobs"}), "fleet declare jobs city"),
        (Blocker(Cause.IRREVERSIBLE, "city", "w", {"version": 3}), "--irreversible"),
        (Blocker(Cause.IRREVERSIBLE, "city", "w"), "the way leads forward only"),
        (Blocker(Cause.WRONG_STATE, "city", "w"), "docstore rollout status city"),
        (Blocker(Cause.ROWS_LEFT, "city", "w"), "docstore backfill start city"),
        (Blocker(Cause.OTHER_OPERATOR, "city", "w"), "docstore rollout history city"),
    ],
)
def test_what_is_in_the_way_of_a_rollout_comes_with_its_way_out(blocker: Blocker, part: str) -> None:
    assert part in (hint_for(_refused(blocker)) or "")


def test_several_ways_out_are_told_at_once_and_each_once() -> None:
    nodes = [Blocker(Cause.NODE_CANNOT_READ, "city", name) for name in ("one", "two")]
    frozen = Blocker(Cause.FROZEN, "city", "frozen")

    assert (hint_for(_refused(frozen, *nodes)) or "").count(";") == 1


def test_nothing_can_refuse_an_operator_without_a_way_out() -> None:
    of_nodes = {Cause.CANNOT_READ_WRITES, Cause.CANNOT_READ_ROWS, Cause.SKEW}
    facts = {"version": 1, "service": "jobs", "instance": "pod", "floor": 2}

    assert {cause for cause in Cause if ways_out([facts_of(Blocker(cause, "city", "w", facts))]) is None} == of_nodes
