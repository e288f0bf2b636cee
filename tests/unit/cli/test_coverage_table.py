import pytest

from docstore.cli.coverage_table import share


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0.0 %"),
        (1e-9, "<0.1 %"),
        (0.3333, "33.3 %"),
        (0.9996, ">99.9 %"),
        (1.0, "100.0 %"),
    ],
)
def test_all_and_none_are_said_only_where_they_are_true(fraction: float, text: str) -> None:
    assert share(fraction) == text
