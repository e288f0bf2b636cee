"""
What `docstore adopt` says of rows that it did not tag.
"""

from docstore.cli.adopt import left_without_tag


def test_rows_in_quarantine_are_told_from_those_that_were_left_alone() -> None:
    words, advice = left_without_tag("city", 150, 100)

    assert words == (
        "150 rows have no tag: 100 in quarantine, 50 that came since, or that detect puts above what may be stored"
    )
    assert advice.startswith("docstore quarantine list city")


def test_nobody_is_sent_to_an_empty_quarantine() -> None:
    words, advice = left_without_tag("city", 50, 0)

    assert "quarantine" not in words + advice
