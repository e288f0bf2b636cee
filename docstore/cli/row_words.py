"""
Numbers of rows in a sentence.
"""


def some_rows(number: int) -> str:
    """
    Return "1 row", "2 rows", "1,000 rows".
    """
    return "1 row" if number == 1 else f"{number:,} rows"
