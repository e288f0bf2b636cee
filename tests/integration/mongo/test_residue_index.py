"""
The index on rows with a residue: it is there before them, also in a collection that was made anew.
"""

from typing import Any

from docstore.mongo.residue_index import RESIDUE_INDEX, ResidueIndex
from tests.kinds import place_kind


async def test_the_index_is_built_anew_where_the_collection_was_dropped(database: Any) -> None:
    now = 0.0
    residues = ResidueIndex(database, place_kind(), clock=lambda: now)
    places = database["places"]

    await residues.require()
    built = set(await places.index_information())
    await places.drop()
    await places.insert_one({"_id": 1})
    now = 1.0
    missing = await residues.ready_in_transaction()
    await residues.require()

    assert RESIDUE_INDEX in built
    assert not missing
    assert RESIDUE_INDEX in await places.index_information()
