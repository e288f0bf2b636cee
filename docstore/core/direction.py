"""
Where a run takes rows.
"""

from enum import StrEnum


class Direction(StrEnum):
    """
    What a run does to rows.
    """

    #: Rows below the target are brought up to it, by the upgraders.
    UP = "up"
    #: Rows above the target, as far as the code knows their version, are brought down to it, by the downgraders.
    DOWN = "down"
    #: Rows without a tag get the tag of the version at which they stand; nothing else is written.
    ADOPT = "adopt"
