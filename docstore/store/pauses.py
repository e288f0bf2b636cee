"""How long to wait before a write that met a conflict is tried again."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeAlias

#: Waits after the given number of failed tries.
Pause: TypeAlias = Callable[[int], Awaitable[None]]

#: How often a write is tried before it gives up with `ConflictError`.
TRIES: Final = 20

_FIRST: Final = 0.001  # seconds
_LONGEST: Final = 0.064  # seconds


def jittered(random: Random) -> Pause:
    """Return a pause of up to one millisecond that doubles with every try up to 64, so that writers drift apart."""

    async def pause(tries: int) -> None:
        await asyncio.sleep(random.uniform(0, min(_FIRST * 2 ** (tries - 1), _LONGEST)))

    return pause
