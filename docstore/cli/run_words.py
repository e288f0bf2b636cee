"""
What runs are called, and the rows that they leave, by their direction.
"""

from docstore.core.direction import Direction


def aim(direction: Direction, target: int) -> str:
    """
    Say what a run does, as it stands behind the name of its kind.
    """
    if direction is Direction.ADOPT:
        return "to be tagged"
    return f"{'down ' if direction is Direction.DOWN else ''}to version {target}"


def left(direction: Direction, target: int) -> str:
    """
    Say where the rows stand that a run has still to do.
    """
    if direction is Direction.ADOPT:
        return "without a tag"
    return f"{'above' if direction is Direction.DOWN else 'below'} version {target}"
