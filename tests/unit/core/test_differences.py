from typing import Any

import pytest

from docstore.core.differences import MOST_PATHS, differing_paths


@pytest.mark.parametrize(
    ("first", "second", "paths"),
    [
        ({"a": 1}, {"a": 1}, ()),
        ({"a": 1}, {"a": 1.0}, ("a",)),
        ({"a": 1}, {"a": 1, "b": 2}, ("b",)),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ("a.c",)),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, ("a",)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ("(row)",)),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ("a.1.b",)),
        ({"a": [1]}, {"a": [1, 2]}, ("a",)),
        ({"a": None}, {}, ("a",)),
        ({"a": float("nan")}, {"a": float("nan")}, ()),
    ],
)
def test_differing_paths_names_where_the_bson_differs(first: Any, second: Any, paths: tuple[str, ...]) -> None:
    assert differing_paths(first, second) == paths


def test_differing_paths_names_only_the_first_of_many() -> None:
    many = differing_paths({f"f{place}": 1 for place in range(50)}, {})

    assert len(many) == MOST_PATHS
