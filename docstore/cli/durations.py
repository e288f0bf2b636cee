"""
Times and spans as people type and read them.
"""

import re
from typing import Final

import typer

from docstore.backfill.operating import LONGEST

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[smhd]?)")


def parse_duration(text: str) -> float:
    """
    Return the seconds that a text such as "90", "90s", "10m", "2h" or "1d" stands for.

    Raises:
        typer.BadParameter: It stands for none, for no time at all, or for longer than `LONGEST`.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = float(found["number"]) * _SECONDS[found["unit"] or "s"] if found else 0.0
    if seconds <= 0:
        msg = f"{text!r} is no time; write 90s, 10m or 2h"
        raise typer.BadParameter(msg)
    if seconds > LONGEST:
        msg = f"{text!r} is longer than ten years; without it the value holds for good"
        raise typer.BadParameter(msg)
    return seconds


def span(seconds: float) -> str:
    """
    Return a span in the two units that matter: "42 s", "3 min 20 s", "2 h 5 min", "4 d 3 h".
    """
    whole = round(seconds)
    for large, small, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {large}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"
