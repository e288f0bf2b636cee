"""
What time it is, by the clock that decides.
"""

import datetime

from docstore.core.bson_values import CODEC
from docstore.mongo.driver import AnyDatabase, newest
from docstore.mongo.failures import translated


async def server_time(database: AnyDatabase) -> datetime.datetime:
    """
    Return the primary's time, in UTC.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    with translated():
        answer = await newest(database).command("hello", codec_options=CODEC.with_options(tz_aware=True))
    now: datetime.datetime = answer["localTime"]
    return now
