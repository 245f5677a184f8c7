"""How a simulated thing becomes a message, and where its chance comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Message = dict[str, Any]


class Dice:
    """Numbers of one generator, drawn in bulk: a draw on its own costs numpy a microsecond."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._numbers = self._endless(rng)

    def __call__(self) -> float:
        return next(self._numbers)

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return next(self._numbers) < share

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * next(self._numbers)

    def times(self, expected: float) -> int:
        """A whole number that is `expected` on average: half as many to half as many again."""
        wanted = expected * (0.5 + next(self._numbers))
        return int(wanted) + (next(self._numbers) < wanted % 1)

    def pick(self, choices: Sequence[T], bias: float = 1.0) -> T:
        """One of them; a bias above 1 prefers the first ones."""
        return choices[int(next(self._numbers) ** bias * len(choices))]

    @staticmethod
    def _endless(rng: np.random.Generator) -> Iterator[float]:
        while True:
            yield from rng.random(8192).tolist()


@dataclass(slots=True)
class Visit:
    """Somebody being there: `at` (Unix seconds) moves on with each thing told."""

    who: str
    at: float
    facts: dict[str, Any]
    person: int = -1


@dataclass(slots=True)
class Ids:
    """Event ids that follow from the story and the order of telling, so that telling it again repeats them."""

    key: str
    count: int = 0
    _head: str = field(init=False)

    def __post_init__(self) -> None:
        digest = blake2b(self.key.encode(), digest_size=8).hexdigest()
        self._head = f"{digest[:8]}-{digest[8:12]}-8{digest[12:15]}-8"

    def next(self) -> str:
        """A UUID (version 8: made by a scheme of our own)."""
        self.count += 1
        return f"{self._head}{self.count >> 48 & 0xFFF:03x}-{self.count & 0xFFFF_FFFF_FFFF:012x}"


@dataclass(slots=True)
class Teller:
    """Collects the messages of a day."""

    ids: Ids
    messages: list[tuple[float, Message]] = field(default_factory=list)

    def tell(self, name: str, visit: Visit, after: float = 0.0, **facts: Any) -> str:
        """One event of a visit, `after` seconds later than the one before. Gives its id."""
        visit.at += after
        return self.tell_at(name, visit.who, visit.at, {**visit.facts, **facts})

    def tell_at(self, name: str, who: str | None, at: float, properties: dict[str, Any]) -> str:
        """One event at an instant."""
        uuid = self.ids.next()
        message = {
            "event": name,
            "uuid": uuid,
            "distinct_id": who,
            "timestamp": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
            "properties": properties,
        }
        self.messages.append((at, message))
        return uuid

    def take(self) -> list[tuple[float, Message]]:
        """What was collected, in order of time."""
        taken = sorted(self.messages, key=lambda pair: pair[0])
        self.messages = []
        return taken


def money(cents: int) -> dict[str, str]:
    """An amount in euros, as properties."""
    sign, size = "-" if cents < 0 else "", abs(cents)
    return {"amount": f"{sign}{size // 100}.{size % 100:02d}", "currency": "EUR"}
