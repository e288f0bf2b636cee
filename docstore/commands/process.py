"""
What the commands know of the process that they run in: its clock and its name.
"""

import datetime
import os
import socket
import uuid

from docstore.backfill.who import Who


def utc_now() -> datetime.datetime:
    """Return the time of this machine's clock."""
    return datetime.datetime.now(datetime.UTC)


def this_process() -> Who:
    """
    Return a new worker's name for this process.
    """
    return Who(id=uuid.uuid4().hex, host=socket.gethostname(), pid=os.getpid())
