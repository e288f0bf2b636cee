"""The base of the models that users write."""

from typing import Any, ClassVar, Final, Self, TypeVar

from bson.objectid import ObjectId
from pydantic import AliasGenerator, BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, field_serializer


def _stored_name(field: str) -> str:
    return "_id" if field == "id" else field


#: The slot that holds the row a document was read from. Not a pydantic field: it is never dumped, compared or shown.
ORIGIN: Final = "__origin__"


class Document(BaseModel):
    """
    A pydantic model of a kind's latest shape; its field `id` is the row's `_id`.

    The schema version is no field of the model: docstore writes and reads it. Without an *id* of its own a document
    gets a new ObjectId. A document that a store has read remembers that row (as immutable bytes), so that `replace`
    can prove that nobody changed it meanwhile; copies (`model_copy`, `copy`, pickle) remember it too.
    """

    __slots__ = (ORIGIN,)

    model_config: ClassVar[ConfigDict] = ConfigDict(
        arbitrary_types_allowed=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=False,
        alias_generator=AliasGenerator(validation_alias=_stored_name, serialization_alias=_stored_name),
    )

    id: Any = Field(default_factory=ObjectId)

    @field_serializer("id", mode="wrap", when_used="json")
    def _id_for_json(self, value: Any, handler: SerializerFunctionWrapHandler) -> Any:
        # JSON has no ObjectId, and an API that returns documents should not need to know.
        return str(value) if isinstance(value, ObjectId) else handler(value)

    def __copy__(self) -> Self:
        return _carry_origin(self, super().__copy__())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return _carry_origin(self, super().__deepcopy__(memo))

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), ORIGIN: get_origin_row(self)}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        origin = state.pop(ORIGIN, None)
        super().__setstate__(state)
        if origin is not None:
            set_origin_row(self, origin)


def get_origin_row(document: object) -> bytes | None:
    """Return the BSON of the row that a document was read from, exactly as it was stored, or None."""
    origin: bytes | None = getattr(document, ORIGIN, None)
    return origin


def set_origin_row(document: object, row: bytes) -> None:
    """Remember the BSON of the row that a document (or an `OlderDocument`) was read from."""
    object.__setattr__(document, ORIGIN, row)


def misnomers(model: type[Document]) -> dict[str, str]:
    """Return the names of fields under which nothing is stored (`id`), with the names that rows have instead."""
    stored = {name: field.serialization_alias or name for name, field in model.model_fields.items()}
    return {name: alias for name, alias in stored.items() if name not in stored.values()}


_D = TypeVar("_D", bound=Document)


def _carry_origin(source: _D, copy: _D) -> _D:
    origin = get_origin_row(source)
    if origin is not None:
        set_origin_row(copy, origin)
    return copy
