"""
Old rows, page by page, on a real server.
"""

from typing import Any

from docstore.core.id_range import BEGINNING
from docstore.mongo.old_rows import OldRows
from docstore.mongo.tag_index import build_tag_index


async def test_a_page_holds_as_many_rows_as_were_asked_for(database: Any) -> None:
    await database.rows.insert_many([{"_id": place, "v": 1} for place in range(700)])
    index = await build_tag_index(database, "rows", "v")
    rows = OldRows(database, "rows", field="v", version=1, index=index, collated=False)

    page = await rows.read(BEGINNING, size=500)
    chosen = await rows.read_those(list(range(100, 400)))

    assert (len(page.rows), page.last) == (500, 499)
    assert len(chosen.rows) == 300
