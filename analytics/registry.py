"""A named collection of declarations of one kind. A taken name or a wrong kind raises where it is registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from operator import attrgetter
from typing import Generic, TypeVar

T = TypeVar("T")


class RegistryError(ValueError):
    """A declaration that cannot be registered: its name is taken, empty, or it is not of the registry's kind."""


class UnknownName(KeyError):
    """Nothing is registered under this name. The message offers the nearest names.

    A KeyError, so that mappings which raise it have their `get` and `in`; but it speaks in a sentence.
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class Registry(Generic[T]):
    """`Registry(Measure)` holds measures by their `id` (or what `name` says), in the order they were registered."""

    def __init__(self, kind: type[T], *, name: Callable[[T], str] = attrgetter("id")) -> None:
        self._kind = kind
        self._noun = kind.__name__.lower()
        self._name = name
        self._items: dict[str, T] = {}

    def register(self, item: T) -> T:
        """Add `item` and return it. Raises RegistryError; registering the same object again is fine."""
        if not isinstance(item, self._kind):
            raise RegistryError(f"{item!r} is no {self._kind.__name__}")
        name = self._name(item)
        if not name:
            raise RegistryError(f"a {self._noun} needs a name")
        if self._items.get(name, item) is not item:
            raise RegistryError(f"{self._noun} {name!r} is already registered")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except KeyError:
            raise UnknownName(self._unknown(name)) from None

    def get(self, name: str) -> T | None:
        return self._items.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._items.values()))

    def __len__(self) -> int:
        return len(self._items)

    def names(self) -> tuple[str, ...]:
        return tuple(self._items)

    def items(self) -> tuple[tuple[str, T], ...]:
        return tuple(self._items.items())

    def _unknown(self, name: str) -> str:
        near = get_close_matches(name, self._items, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        return f"there is no {self._noun} {name!r}{hint}"
