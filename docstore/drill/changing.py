"""
What a node changes: a field of a row, to a value that other rows have or to one that is much like it.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from bson.int64 import Int64
from pydantic import ValidationError

from docstore.core.bson_values import RawDocument, identical
from docstore.core.document import Document
from docstore.drill.journal import COUNT, REVISION
from docstore.store.encoding import dumped

#: How often another value is tried where the model takes none of them.
_TRIES: Final = 4
_LARGEST_STEP: Final = 50


class Changing:
    """
    Chooses changes by chance that the model at hand takes.

    Args:
        model: The model of the release.
        kind: The kind's name, for what is refused.
        rows: Rows at the shape of the model, as the model stores them.
        copied: Top-level fields that take values of other rows only; None stands for all of them. The older release
            cannot know which values a step that it does not have would refuse.
        chance: Where the choices come from.
        accepts: What else a row has to fit, for a model that takes everything.
    """

    def __init__(
        self,
        model: type[Document],
        *,
        kind: str,
        rows: Sequence[RawDocument],
        copied: frozenset[str] | None,
        chance: Random,
        accepts: Callable[[RawDocument], bool] = lambda _: True,
    ) -> None:
        self._accepts = accepts
        self._model = model
        self._kind = kind
        self._rows = rows
        self._copied = copied
        self._chance = chance

    def change(self, fields: RawDocument) -> RawDocument:
        """
        Return the fields of a document with one of them changed, or as they are where the model takes no other value.
        """
        for _ in range(_TRIES):
            name = self._field(fields)
            if name is None:
                break
            value = self._value(name, fields.get(name))
            if name in fields and identical(value, fields[name]):
                continue
            after = self.taken({**fields, name: value})
            if after is not None:
                return after
        return fields

    def assignment(self) -> tuple[str, Any] | None:
        """
        Return a field and a value to set by an operator, or None where the model takes none.
        """
        for _ in range(_TRIES):
            donor = self.donor()
            name = self._field(donor)
            if name is None or name not in donor:
                continue
            after = self.taken({**donor, name: self._value(name, donor[name])})
            if after is not None:
                return name, after[name]
        return None

    def increment(self) -> tuple[str, int] | None:
        """
        Return a whole number of the model and by how much to raise it, or None where there is none.
        """
        donor = self.donor()
        names = [name for name, value in donor.items() if _is_whole(value) and self._free(name)]
        if not names:
            return None
        return self._chance.choice(names), self._chance.randint(1, 9)

    def donor(self) -> RawDocument:
        """
        Return the fields of any row.
        """
        return self._chance.choice(self._rows)

    def taken(self, fields: RawDocument) -> RawDocument | None:
        """
        Return fields as the model stores them, or None where it refuses them.
        """
        try:
            stored = dumped(self._model.model_validate(fields), kind=self._kind)
        except ValidationError:
            return None
        return stored if self._accepts(stored) else None

    def _field(self, fields: RawDocument) -> str | None:
        names = [name for name in {**fields, **self.donor()} if name not in {"_id", REVISION, COUNT}]
        return self._chance.choice(names) if names else None

    def _free(self, name: str) -> bool:
        return name not in {"_id", REVISION, COUNT} and self._copied is not None and name not in self._copied

    def _value(self, name: str, now: Any) -> Any:
        if not self._free(name) or self._chance.random() < 0.5:  # noqa: PLR2004 - half of them
            donor = self.donor()
            return donor.get(name, now)
        return self._alike(now)

    def _alike(self, value: Any) -> Any:
        chance = self._chance
        if isinstance(value, bool):
            return not value
        if isinstance(value, Int64):
            return Int64(value + chance.randint(1, _LARGEST_STEP))
        if isinstance(value, int):
            return value + chance.randint(1, _LARGEST_STEP)
        if isinstance(value, float):
            return value + chance.random()
        if isinstance(value, str):
            return f"{value[:20]} {chance.randrange(10**6)}"
        if isinstance(value, list):
            return [*value[: chance.randint(0, 5)], *(self._alike(item) for item in value[:1])]
        if isinstance(value, dict) and value:
            inner = chance.choice(list(value))
            return {**value, inner: self._alike(value[inner])}
        return value


def differing(before: RawDocument, after: RawDocument) -> tuple[RawDocument, RawDocument]:
    """
    Return the fields that are not the same in both, as they were and as they are; the drill's own are left out.
    """
    names = [
        name
        for name in {**before, **after}
        if name not in {REVISION, COUNT}
        and (name not in before or name not in after or not identical(before[name], after[name]))
    ]
    was = {name: before[name] for name in names if name in before}
    return was, {name: after[name] for name in names if name in after}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**30
