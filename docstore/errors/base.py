"""The root of the tree, and how errors survive pickling."""

from typing import Any


class DocstoreError(Exception):
    """Base of everything that docstore raises on purpose."""

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.advice = advice
        if advice is not None:
            self.add_note(advice)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(cls: type[DocstoreError], args: tuple[Any, ...], facts: dict[str, Any]) -> DocstoreError:
    # Constructors take keyword facts only, so the default reconstruction from `args` cannot work.
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error
