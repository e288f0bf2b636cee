"""
The rule by which a canary goes back by itself.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docstore import errors
from docstore.core.abort_rule import LEAST, AbortRule, CanaryFigures, counts_as_error, summed
from docstore.core.rollout_moves import advanced, canaried, rolled_back
from docstore.core.write_version import ControlState


@pytest.mark.parametrize(
    ("text", "percent", "least"),
    [
        ("errors>1%", 1.0, LEAST),
        (" Errors > 0.5 % ", 0.5, LEAST),
        ("errors>0%", 0.0, LEAST),
        ("errors>12.25% of 1000", 12.25, 1000),
        ("errors>99%of 1", 99.0, 1),
    ],
)
def test_a_rule_says_a_share_and_how_many_operations_it_takes(text: str, percent: float, least: int) -> None:
    assert AbortRule.parse(text) == AbortRule(percent, least)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1%",
        "errors",
        "errors>1",
        "errors<1%",
        "errors>-1%",
        "errors>100%",
        "errors>1% of 0",
        "latency>1%",
        "errors>1%;",
    ],
)
def test_what_is_no_rule_is_refused_by_name(text: str) -> None:
    with pytest.raises(errors.AbortRuleError) as caught:
        AbortRule.parse(text)

    assert caught.value.text == text


@given(percent=st.decimals(0, 99, places=2), least=st.integers(1, 10**8))
def test_a_rule_is_read_as_it_is_written(percent: object, least: int) -> None:
    rule = AbortRule(float(str(percent)), least)

    assert AbortRule.parse(str(rule)) == rule
    assert AbortRule.of(rule.stored()) == rule


@given(operations=st.integers(0, 10**6), share=st.floats(0, 1), percent=st.integers(0, 99), least=st.integers(1, 500))
def test_a_rule_is_broken_by_more_than_its_share_of_enough_operations(
    operations: int, share: float, percent: int, least: int
) -> None:
    failures = int(operations * share)
    broken = AbortRule(percent, least).broken_by(CanaryFigures(1, operations, failures))

    assert broken is (operations >= least and failures * 100 > percent * operations)


def test_only_figures_of_the_same_canary_are_summed() -> None:
    counted = [CanaryFigures(7, 10, 1), CanaryFigures(6, 1000, 1000), None, CanaryFigures(7, 5, 2)]

    assert summed(counted, began=7) == CanaryFigures(7, 15, 3)


def test_another_percentage_is_the_same_canary_with_the_same_rule_and_a_new_rollout_is_another_one() -> None:
    rule = AbortRule(1.0)
    first = canaried(ControlState("place", 2, 1), percent=5, epoch=2, settled=True, step=None, abort_on=rule)
    wider = canaried(first, percent=50, epoch=3, settled=True, step=None)
    stricter = canaried(wider, percent=50, epoch=4, settled=True, step=None, abort_on=AbortRule(0.1))
    for state in (first, wider, stricter):
        assert state.canary is not None
        assert state.canary.began == 2
        assert ControlState.of(state.stored()) == state
    assert [state.canary.abort_on for state in (first, wider, stricter) if state.canary] == [rule, rule, AbortRule(0.1)]
    assert advanced(wider, epoch=5, settled=True, step=None).canary is None
    assert rolled_back(wider, epoch=5, settled=True).canary is None


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (errors.UpgradeFailedError(kind="a", id=1, version=2, step=3, error="x"), True),
        (errors.NotExpressibleError(kind="a", id=1, version=3, step=3, path="x"), True),
        (errors.InvalidDocumentError(kind="a", id=1, version=3, problems=[]), True),
        (errors.StoreRejectedError(reason="a", code=121), True),
        (errors.NewerVersionError(kind="a", id=1, found=4, latest=3), False),
        (errors.ConflictError(kind="a", id=1), False),
        (errors.DocumentNotFoundError(kind="a", id=1), False),
        (errors.DocumentExistsError(kind="a", id=1), False),
        (errors.StoreUnavailableError(reason="a"), False),
        (errors.StaleNodeError(service="a", silent=7, limit=6), False),
        (KeyError("a"), False),
    ],
)
def test_only_what_speaks_against_the_version_counts(error: Exception, *, counts: bool) -> None:
    assert counts_as_error(error) is counts
