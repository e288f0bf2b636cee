"""
A soak in one line.
"""

from tests.soak.soaking import Outcome


def told(path: str, rows: int, outcome: Outcome) -> str:
    """
    Return the figures as a line.
    """
    book, status = outcome.book, outcome.status
    writes = ", ".join(f"{number:,} {name}" for name, number in sorted(book.writes.items()))
    return (
        f"{path} path: {rows:,} rows, kills {'+'.join(map(str, outcome.kills))}, {outcome.taken_over:,} batches taken "
        f"over, {status.conflicts:,} conflicts, {status.number_of_pass} passes, {sum(book.increments.values()):,} "
        f"increments acknowledged, writes: {writes}; {len(outcome.faults)} faults"
    )
