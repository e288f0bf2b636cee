"""
Which way a query takes, and which operations it needs on that way.
"""

from typing import Any

import pytest
from bson import Decimal128, Int64

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.query import read_query
from docstore.core.stale_branch import Way, relevant, start
from docstore.core.stale_query import decide, old_versions, stands_at
from docstore.errors import NotCompilableError


class Thing(Document):
    pass


def _same(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _kind(*steps: Step, **options: Any) -> Kind[Thing]:
    first = options.get("floor", 1)
    return Kind(
        "thing",
        collection="things",
        model=Thing,
        steps=[step.produces(version) for version, step in enumerate(steps, start=first + 1)],
        **options,
    )


mixed = _kind(
    Step(ops.RenameField("zip", "postcode")),
    Step(ops.NestFields(["postcode", "town"], into="address")),
    Step(upgrade=_same, writes=["slug"]),
    Step(ops.RemoveField("note")),
)


@pytest.mark.parametrize(
    ("path", "stored", "way"),
    [
        ("name", [1, 2, 3, 4], Way.AS_STORED),
        ("_id", [1, None], Way.AS_STORED),
        ("address.postcode", [], Way.AS_STORED),
        ("address.postcode", [3, 4], Way.AS_STORED),
        ("address.postcode", [2], Way.UPGRADED),
        ("postcode", [None], Way.UPGRADED),
        ("slug", [4], Way.AS_STORED),
        ("slug", [3], Way.REFUSED),
        ("note", [1, 2, 3, 4], Way.UPGRADED),
    ],
)
def test_the_way_depends_on_the_paths_and_on_what_is_stored(path: str, stored: list[int | None], way: Way) -> None:
    decision = decide(mixed, read_query({path: 1}), stored)
    assert decision.way is way
    assert len(decision.branches) == (0 if way is Way.AS_STORED else len(stored))


@pytest.mark.parametrize(
    ("filter", "reason"),
    [
        ({"slug": "a"}, "step 4: it is made of Python functions"),
        ({"$where": "true"}, "$where cannot be asked of a row after its upgrade"),
        ({"address.postcode": {"$near": [0, 0]}}, "$near cannot be asked of a row after its upgrade"),
        ({"$jsonSchema": {"required": ["address"]}}, "the query looks at the document as a whole"),
    ],
)
def test_a_refusal_says_why(filter: dict[str, Any], reason: str) -> None:
    decision = decide(mixed, read_query(filter), [1])
    assert (decision.way, decision.reason) == (Way.REFUSED, reason)
    assert decision.versions == (1,)


def test_versions_at_which_the_paths_are_as_at_latest_get_no_branch() -> None:
    decision = decide(mixed, read_query({"address.town": "Wien"}), [None, 1, 2, 3, 4])
    assert [branch.version for branch in decision.branches] == [None, 1, 2]


def test_only_operations_that_the_paths_depend_on_are_relevant() -> None:
    steps = (
        Step(ops.RenameField("a", "b"), to=2),
        Step(ops.AddField("unrelated", default=1), ops.CopyField("b", "c"), to=3),
        Step(ops.RenameField("c", "d"), ops.RemoveField("e"), to=4),
    )
    assert len(relevant(steps, frozenset({("d",)}))) == 3
    assert len(relevant(steps, frozenset({("b", "x")}))) == 1
    assert len(relevant(steps, frozenset({("e",), ("unrelated",)}))) == 2
    assert relevant(steps, frozenset({("other",)})) == []


def test_a_function_step_is_left_out_unless_a_relevant_operation_reads_what_it_writes() -> None:
    function = Step(upgrade=_same, writes=["slug"], to=2)
    assert len(relevant((function, Step(ops.RenameField("a", "b"), to=3)), frozenset({("b",)}))) == 1
    with pytest.raises(NotCompilableError, match="step 2"):
        relevant((function, Step(ops.RenameField("slug", "b"), to=3)), frozenset({("b",)}))
    with pytest.raises(NotCompilableError, match="do not declare"):
        relevant((Step(upgrade=_same, to=2),), frozenset({("b",)}))


def test_python_upgrades_every_row_where_the_server_compares_otherwise() -> None:
    decision = decide(mixed, read_query({"postcode": 1}), [1], python_only=True)
    (branch,) = decision.branches
    assert branch.match is None
    assert branch.declined is not None


@pytest.mark.parametrize(
    ("expression", "match"),
    [({"$type": "$$ROOT"}, False), ({"$type": "$name"}, True)],
)
def test_an_expression_that_would_see_what_the_query_adds_is_left_to_python(
    expression: Any,
    match: bool,  # noqa: FBT001
) -> None:
    kind = _kind(Step(ops.Compute("kind_of", expression, lambda _: "object")))
    (branch,) = decide(kind, read_query({"kind_of": "object"}), [1]).branches
    assert (branch.match is not None) is match


def test_untagged_rows_count_as_old_only_where_they_are_and_can_be_read() -> None:
    rename = Step(ops.RenameField("a", "b"))
    assert old_versions(_kind(rename, rename)) == [None, 1, 2]
    assert old_versions(_kind(rename, baseline=2, floor=2)) == [None, 2]
    assert old_versions(_kind(rename, floor=2)) == [2]
    assert old_versions(_kind(rename, floor=2, detect=lambda _: 2)) == [None, 2]
    # Without steps they have the latest shape, and lack the tag all the same.
    assert old_versions(_kind()) == [None]
    assert old_versions(_kind(floor=2)) == []
    assert old_versions(_kind(detect=lambda _: 1)) == [None]
    assert start(_kind(rename, baseline=3, floor=3), None) == 3


@pytest.mark.parametrize("detected", [1, 2])
def test_rows_whose_version_a_function_tells_are_left_to_python(detected: int) -> None:
    kind = _kind(Step(ops.RenameField("a", "b")), detect=lambda _: detected)
    (branch,) = decide(kind, read_query({"b": 1}), [None]).branches
    assert branch.match is None
    assert branch.version is None


@pytest.mark.parametrize(
    ("tag", "stands"),
    [
        (1, True),
        (1.0, True),
        (Int64(1), True),
        (2, False),
        (1.5, False),
        (True, False),
        (Decimal128("1"), False),
        ([1], False),
        ("1", False),
    ],
)
def test_only_numbers_that_are_versions_stand_at_one(tag: Any, stands: bool) -> None:  # noqa: FBT001
    assert stands_at(mixed, {"schema_version": tag}, [1, 3]) is stands
    assert not stands_at(mixed, {"schema_version": tag}, [None])


def test_a_missing_or_null_tag_stands_at_no_number() -> None:
    assert stands_at(mixed, {}, [None])
    assert stands_at(mixed, {"schema_version": None}, [None, 1])
    assert not stands_at(mixed, {}, [1])
