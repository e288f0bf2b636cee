"""Which way a query takes: what is stored, at one moment, and what follows from it."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from docstore.core.absence import UNWATCHED, Absence
from docstore.core.kind import Kind
from docstore.core.query import shown
from docstore.core.stale_branch import Branch, Compiled, StoredVersion, Way, compiled_branch, start
from docstore.core.stale_pipelines import both_of, one_of
from docstore.core.stale_query import Decision, decide, decision_of, other_versions, rows_at
from docstore.core.translation import NEVER
from docstore.errors import StaleQueryError
from docstore.mongo.driver import AnySession
from docstore.mongo.moment import Moment, Reads, enter_moment
from docstore.mongo.reading import RowSource
from docstore.mongo.residue_index import ResidueIndex
from docstore.mongo.stored_versions import stored_versions
from docstore.store.absent_versions import KnownAbsence, absence_for, unwatched
from docstore.store.asked import Query

#: How many compiled ways are kept.
MAX_COMPILED: Final = 256


@dataclass(frozen=True, slots=True)
class Decided:
    """
    What was decided at a moment.

    Attributes:
        moment: Where the query is to be run.
        decision: The way.
        absence: What was known without a look.
        client_rows: How many rows Python has to read for it; of a refusal, how many stand in the way.
    """

    moment: Moment
    decision: Decision
    absence: Absence = UNWATCHED
    client_rows: int = 0


class Decisions:
    """Looks which other versions than latest are stored, and decides how queries of one kind are answered."""

    def __init__(self, source: RowSource, kind: Kind[Any], absence: KnownAbsence = unwatched) -> None:
        self._source = source
        self._kind = kind
        self._absence = absence
        self._newer = kind.newer and kind.newer.steps
        self._residues = ResidueIndex(source.database, kind)
        self._collated: bool | None = None
        self._compiled: Compiled = {}

    async def decided(self, stack: AsyncExitStack, query: Query, session: AnySession | None) -> Decided:
        """
        Open a moment, look which versions are stored, and decide.

        Without a look where no row can stand at any other version than latest: then the query is sent as it is.

        Args:
            stack: Where the moment ends.
            query: What is asked.
            session: The user's session, if there is one.
        """
        absence = absence_for(self._absence, self._source, session)
        among = absence.among(other_versions(self._kind))
        if not among:
            return Decided(Moment(session, Reads.NOTHING), Decision(Way.AS_STORED, absence.reason), absence)
        # A narrower look is quicker where an id is given; elsewhere it would keep the index on the tag from answering.
        narrowed = query.untouched_part(self._kind)
        looked_among = narrowed if "_id" in narrowed else None

        async def look(session: AnySession | None) -> list[StoredVersion]:
            return await stored_versions(
                self._source,
                self._kind.version_field,
                among,
                narrowed=looked_among,
                session=session,
            )

        moment, stored = await enter_moment(stack, self._source, session, look)
        decision = await self._decision(query, stored)
        # No filter says what rows keep beside the shape in which they are stored.
        if decision.versions and await self._residues.holds_rows(moment.session):
            decision = await self._decision(query, stored, residues=True)
        if decision.way in {Way.REFUSED, Way.IN_CLIENT}:
            rows = await self._source.count(self._held_up(decision, narrowed), session=moment.session)
            if rows:
                return self._possible(Decided(moment, decision, absence, rows))
            # No such row can match. It must not be matched as it is stored either, so its version keeps a branch.
            left = [
                replace(branch, way=Way.TRANSLATED, narrowed=NEVER) if branch.way is Way.IN_CLIENT else branch
                for branch in decision.branches
            ]
            if left:
                decision = decision_of(left, decision.touched, in_client=False)
        return self._possible(Decided(moment, decision, absence))

    async def required(self, stack: AsyncExitStack, query: Query, session: AnySession | None) -> Decided:
        """
        Do the same, and raise a refusal.

        Raises:
            StaleQueryError: Old rows are stored that cannot be brought along.
        """
        decided = await self.settled(await self.decided(stack, query, session), query)
        if decided.decision.way is Way.REFUSED:
            raise self.stale(decided.decision, decided.client_rows, decided.decision.reason)
        return decided

    async def settled(self, decided: Decided, query: Query) -> Decided:
        """Count the rows that stand in the way of a query; where there are none, nothing does."""
        decision = decided.decision
        if decision.way is not Way.REFUSED or decided.client_rows:
            return decided
        standing = both_of(rows_at(self._kind, decision.versions), query.untouched_part(self._kind))
        rows = await self._source.count(standing, session=decided.moment.session)
        if rows:
            return replace(decided, client_rows=rows)
        return replace(decided, decision=Decision(Way.AS_STORED, "no old rows are stored", decision.touched))

    def declined(self, query: Query, branches: Sequence[Branch]) -> Mapping[str, Any] | None:
        """Return the filter for the matching rows of translated branches of which Python has to say what they are."""
        filters: list[Mapping[str, Any]] = []
        for branch in branches:
            upgraded = compiled_branch(
                self._kind, branch.version, query.paths.paths, python_only=bool(self._collated), compiled=self._compiled
            )
            if upgraded.declined is not None:
                filters.append(both_of(upgraded.declined, branch.narrowed))
        return one_of(filters) if filters else None

    def stale(self, decision: Decision, rows: int, reason: str, *, client_can: bool = False) -> StaleQueryError:
        """Return the refusal of a query."""
        return stale(self._kind, decision, rows, reason, client_can=client_can)

    def _possible(self, decided: Decided) -> Decided:
        """Turn into a refusal what cannot be done at this moment."""
        way, reads = decided.decision.way, decided.moment.reads
        if way in {Way.AS_STORED, Way.REFUSED} or reads is not Reads.NOTHING:
            return decided
        reason = "a standalone server cannot read them all at one moment (a replica set can)"
        refusal = replace(decided.decision, way=Way.REFUSED, reason=reason)
        return replace(decided, decision=refusal, client_rows=0)

    def _held_up(self, decision: Decision, narrowed: Mapping[str, Any]) -> Mapping[str, Any]:
        branches = [branch for branch in decision.branches if branch.way is Way.IN_CLIENT]
        if not branches:
            return both_of(rows_at(self._kind, decision.versions), narrowed)
        return one_of([both_of(rows_at(self._kind, [branch.version]), branch.narrowed) for branch in branches])

    async def _decision(self, query: Query, stored: list[StoredVersion], *, residues: bool = False) -> Decision:
        if stored and self._collated is None:
            self._collated = await self._source.has_collation()
        # To compile the way of a version takes a millisecond or so; a service asks few different questions.
        newer = self._kind.newer and self._kind.newer.steps
        if len(self._compiled) >= MAX_COMPILED or newer is not self._newer:
            self._newer = newer
            self._compiled.clear()
        return decide(
            self._kind,
            query.paths,
            stored,
            python_only=bool(self._collated),
            filter=query.filter,
            sort=query.sort,
            in_client=query.in_client,
            residues=residues,
            compiled=self._compiled,
        )


def stale(kind: Kind[Any], decision: Decision, rows: int, reason: str, *, client_can: bool = False) -> StaleQueryError:
    """Return the refusal of a query; rows without a tag are named by the version at which they stand."""
    versions = sorted({start(kind, version) for version in decision.versions})
    paths = shown(decision.touched)
    client_can = client_can or any(branch.way is Way.IN_CLIENT for branch in decision.branches)
    return StaleQueryError(
        kind=kind.name, paths=paths, versions=versions, rows=rows, reason=reason, client_can=client_can
    )
