"""
What you need to test your own steps.

    from docstore.testing import check_round_trip, check_samples, compare_paths

- `check_samples`: golden rows of every version come up to the latest shape, and the model takes them.
- `check_round_trip`: rows that were brought up come back down as they were.
- `compare_paths`: a real server and Python give the same rows, byte for byte.

Nothing here is imported by the rest of docstore, but by the drill.
"""

from docstore.testing.both_paths import compare_paths
from docstore.testing.comparison import Comparison, Difference
from docstore.testing.round_trip import check_round_trip
from docstore.testing.samples import check_samples, read_samples

__all__ = [
    "Comparison",
    "Difference",
    "check_round_trip",
    "check_samples",
    "compare_paths",
    "read_samples",
]
