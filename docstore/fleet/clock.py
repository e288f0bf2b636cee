"""
The clock by which a node judges whether others still believe it.
"""

import time
from typing import Final

#: Linux's monotonic clock stands still while the machine sleeps, and this one does not.
_BOOT_TIME: Final = getattr(time, "CLOCK_BOOTTIME", None)


def steady_seconds() -> float:
    """
    Return seconds that only grow, also while the machine is suspended where the system can tell.
    """
    return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)
