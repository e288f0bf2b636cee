"""
The views of a database: found, made, replaced and dropped, and nothing that is not one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import OperationFailure

from docstore.core.bson_values import CODEC, RawDocument
from docstore.core.view_pipeline import highest_shown, is_found, made_here
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.tag_filters import tagged

_NAME_TAKEN: Final = 48


@dataclass(frozen=True, slots=True)
class Found:
    """
    What stands under the name of a view: *pipeline* is None where it is a collection, or a view of something else.
    """

    version: int
    pipeline: list[RawDocument] | None

    @property
    def is_ours(self) -> bool:
        """Whether docstore has made it."""
        return self.pipeline is not None and made_here(self.pipeline)

    @property
    def is_by_hand(self) -> bool:
        """Whether docstore has made it for more than readers that it found."""
        return self.is_ours and self.pipeline is not None and not is_found(self.pipeline)

    def is_of_newer_code(self, latest: int) -> bool:
        """Tell whether docstore has made it by steps above *latest*."""
        return self.is_ours and self.pipeline is not None and highest_shown(self.pipeline) > latest


class Views:
    """
    The views `<collection>_v<N>` of one collection.

    Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`. A server has no call that drops a view
    and spares a collection, so nobody may put a collection under a view's name while that is dropped.
    """

    def __init__(self, database: AnyDatabase, collection: str) -> None:
        self._is_mock = driver_of(database) is Driver.MOCK
        self._database = database
        self._collection = collection

    @property
    def are_possible(self) -> bool:
        """Whether the database can hold views; mongomock cannot."""
        return not self._is_mock

    async def found(self) -> dict[int, Found]:
        """Return what stands under the names of views, by version."""
        if self._is_mock:
            return {}
        named = {"name": {"$regex": f"^{re.escape(self._collection)}_v[1-9][0-9]*$"}}
        found: dict[int, Found] = {}
        # By commands: the driver's own listing decodes values of pipelines by the client's options.
        command: dict[str, Any] = {"listCollections": 1, "filter": named}
        while command:
            with translated():
                answer = await self._database.command(command, codec_options=CODEC)
            cursor = answer["cursor"]
            for entry in (*cursor.get("firstBatch", ()), *cursor.get("nextBatch", ())):
                version = int(entry["name"].rpartition("_v")[2])
                found[version] = Found(version, self._pipeline(entry))
            command = {"getMore": cursor["id"], "collection": cursor["ns"].partition(".")[2]} if cursor["id"] else {}
        return found

    async def holds_rows_at(self, field: str, versions: Sequence[int], *, untagged: bool) -> bool:
        """Tell whether a row of the collection stands at one of the versions, or has no tag (if *untagged*)."""
        rows = open_collection(self._database, self._collection, primary=True)
        with translated():
            return await rows.find_one(tagged(field, versions, untagged=untagged), {"_id": 1}) is not None

    async def create(self, view: str, pipeline: Sequence[Mapping[str, Any]]) -> bool:
        """
        Make a view; tell whether the name was free.

        It compares text byte by byte, as docstore does, whatever the collation of the collection is.
        """
        with translated():
            try:
                await self._database.command(
                    {"create": view, "viewOn": self._collection, "pipeline": list(pipeline)}, codec_options=CODEC
                )
            except OperationFailure as error:
                if error.code != _NAME_TAKEN:
                    raise
                return False
        return True

    async def replace(self, view: str, pipeline: Sequence[Mapping[str, Any]]) -> None:
        """Give a view another pipeline, in one moment: whoever reads it sees the one or the other."""
        with translated():
            await self._database.command(
                {"collMod": view, "viewOn": self._collection, "pipeline": list(pipeline)}, codec_options=CODEC
            )

    async def drop(self, view: str) -> None:
        """Drop a view; one that is gone already is no mistake."""
        with translated():
            await self._database.drop_collection(view)

    def _pipeline(self, entry: Mapping[str, Any]) -> list[RawDocument] | None:
        options = entry.get("options", {})
        if entry.get("type") != "view" or options.get("viewOn") != self._collection:
            return None
        return list(options.get("pipeline", ()))
