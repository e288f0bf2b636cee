"""
The story, chapter by chapter: what is shown, and how it is proved.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from docstore import Collection, Kind, Store, commands
from docstore.backfill.progress import BackfillProgress, BackfillResult
from docstore.core.bson_values import RawDocument, encode
from docstore.demo.cities import SHOWN, STORED_VERSIONS, as_stored
from docstore.demo.screen import Screen
from docstore.demo.stage import Stage
from docstore.demo.traffic import Traffic, increments, prove
from docstore.errors import NewerVersionError
from upgraders.city import City

CHAPTERS = 6

#: The last version that is reached by operations alone, and so inside the server.
BY_OPERATIONS = 4
BATCH = 2000  # rows
WRITERS = 4
COUNTRY = "PH"


class DemoFailedError(Exception):
    """
    Something that the demo set out to prove does not hold.
    """


@dataclass(frozen=True, slots=True)
class Story:
    """
    Everything that the chapters share.
    """

    stage: Stage
    screen: Screen
    kind: Kind[City]
    #: The rows of version 1 that are loaded.
    places: Sequence[RawDocument]

    @property
    def rows(self) -> Any:
        """
        The collection as the driver sees it.
        """
        return self.stage.database[self.kind.collection]

    async def tell(self) -> None:
        """
        Tell all chapters.

        Raises:
            DemoFailedError: A claim does not hold.
        """
        async with Store(self.stage.database, kinds=[self.kind], service="demo") as store:
            cities = store.collection(self.kind)
            await self.load()
            await self.read(cities)
            await self.count()
            await self.backfill()
            await self.count_again()
            await self.refuse(cities)

    async def load(self) -> None:
        """
        Store the places as four releases of a service left them.
        """
        self.screen.chapter(
            "Load",
            f"{len(self.places):,} real places, stored in the four shapes that four releases of a service left behind.",
        )
        await store_rows(self.rows, self.places, self.kind, self.screen)

    async def read(self, cities: Collection[City]) -> None:
        """
        Show a row as stored and as read, and a query over all shapes.
        """
        self.screen.chapter("Read", "Whatever a row looks like in the database, the service gets its latest model.")
        stored = await self.rows.find_one({"_id": SHOWN})
        city = await cities.get(SHOWN)
        self.screen.side_by_side(
            (f"stored, version {stored[self.kind.version_field]}", {name: repr(stored[name]) for name in stored}),
            (f"await cities.get({SHOWN})", {name: repr(value) for name, value in city}),
        )
        query = {"country.code": COUNTRY}
        expected = sum(place["countrycode"] == COUNTRY for place in self.places)
        found, bare = len(await cities.find(query).to_list()), await self.rows.count_documents(query)
        self.screen.gap()
        self.check(
            found == expected,
            f"cities.find({query}) finds all {expected:,}; the bare driver's find sees {bare:,}.",
        )

    async def count(self) -> None:
        """
        Show the coverage.
        """
        self.screen.chapter("Count", "`docstore coverage` says exactly how many rows stand at which version.")
        await self._coverage()

    async def backfill(self) -> None:
        """
        Rewrite every old row while others write, and prove that nothing of theirs was lost.
        """
        if self.stage.server is None:
            self.screen.chapter("Backfill", "Every old row is rewritten at the latest version.")
            await self._rewrite(to=self.kind.latest, text="1 to 6", traffic=None)
            self.screen.say("The mock runs one call at a time, so concurrent writers are left out: they prove nothing.")
            return
        self.screen.chapter(
            "Backfill under traffic",
            "Old rows are rewritten while another process, ignorant of docstore, increments random rows.",
        )
        ids = [place["_id"] for place in self.places]
        async with increments(self.stage.uri, self.kind.collection, ids, writers=WRITERS) as traffic:
            first = await self._rewrite(to=BY_OPERATIONS, text="to 4, inside the server", traffic=traffic)
            second = await self._rewrite(to=self.kind.latest, text="to 6, through Python   ", traffic=traffic)
        proof = await prove(self.rows, traffic)
        self.check(
            proof.holds,
            f"{proof.acknowledged:,} increments acknowledged, {proof.stored:,} stored; "
            f"{proof.differing:,} of {proof.rows:,} rows differ from their own count.",
        )
        conflicts = first.conflicts + second.conflicts
        self.screen.proved(f"{conflicts:,} times a row had changed before its rewrite arrived, and was read again.")

    async def count_again(self) -> None:
        """
        Show that nothing is left to do.
        """
        self.screen.chapter("Count again", "No row is left below the latest version, by count and not by hope.")
        coverage = await self._coverage()
        self.check(coverage == 1.0, f"All {len(self.places):,} rows stand at version {self.kind.latest}.")

    async def refuse(self, cities: Collection[City]) -> None:
        """
        Meet a row of a release that is not deployed here yet.
        """
        future = self.kind.latest + 1
        self.screen.chapter(
            "Refuse", f"A row of version {future}, from a newer release, is neither guessed at nor touched."
        )
        row = {"_id": -1, self.kind.version_field: future, "title": {"en": "Atlantis"}}
        await self.rows.insert_one(row)
        try:
            await cities.get(row["_id"])
        except NewerVersionError as refusal:
            self.screen.quote(f"{type(refusal).__name__}: {refusal}")
            refused = True
        else:
            refused = False
        await commands.backfill(self.stage.database, self.kind)
        kept = await self.rows.find_one({"_id": row["_id"]})
        self.check(
            refused and encode(kept) == encode(row), "It is refused, and byte for byte what it was, after a backfill."
        )
        await self.rows.delete_one({"_id": row["_id"]})

    def check(self, holds: bool, text: str) -> None:  # noqa: FBT001 - what is checked comes first
        """
        Print a claim as proved, or fail.

        Raises:
            DemoFailedError: It does not hold.
        """
        if not holds:
            self.screen.failed(text)
            raise DemoFailedError(text)
        self.screen.proved(text)

    async def _coverage(self) -> float:
        (result,) = await commands.coverage(self.stage.database, [self.kind])
        self.screen.coverage(result.report)
        return result.report.coverage

    async def _rewrite(self, *, to: int, text: str, traffic: Traffic | None) -> BackfillResult:
        old = sum(STORED_VERSIONS[number % len(STORED_VERSIONS)] < to for number in range(len(self.places)))
        with self.screen.meter(old, text) as meter:

            def show(progress: BackfillProgress) -> None:
                note = "" if traffic is None else f"{traffic.total:,} increments"
                meter.show(progress.done, note=note)

            return await commands.backfill(self.stage.database, self.kind, to=to, on_progress=show)


async def store_rows(rows: Any, places: Sequence[RawDocument], kind: Kind[Any], screen: Screen) -> None:
    """
    Insert places as tagged rows of old versions, with the plain driver.
    """
    with screen.meter(len(places), "versions 1 to 4") as meter:
        stored = as_stored(places, kind)
        done = 0
        for batch in batched(stored, BATCH):
            await rows.insert_many(batch, ordered=False)
            done += len(batch)
            meter.show(done)


def batched(rows: Iterable[RawDocument], size: int) -> Iterator[list[RawDocument]]:
    """
    Yield the rows in lists of *size*; the last one may be shorter.
    """
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch
