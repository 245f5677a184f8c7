"""States that add: what a bucket stores instead of a number.

Each state is a frozen value with `+`, a zero (`State()`), and `encode()` to the three columns of a bucket row
`(n, total, state)`; `decode` undoes it exactly. `+` is commutative and associative to the last bit, because every sum
is a sum of integers: columns of floats are counted in millionths (PLACES). So hours add up to days, days to months
and parts of a breakdown to its total, in any order, and a recompute equals what was merged.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from enum import StrEnum
from typing import ClassVar, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap, FrozenBitMap

PLACES = 6
"""Decimals kept of a column of floats when it is summed. Columns of integers (money) are summed as they are."""

Encoded = tuple[int, Decimal | None, bytes | None]
_EXACT = Context(prec=1000)


class Aggregate(StrEnum):
    """The names of the states, as measures declare them."""

    COUNT = "count"
    TOTAL = "total"
    MOMENTS = "moments"
    EXTREMES = "extremes"
    DISTINCT = "distinct"
    REPEAT = "repeat"
    QUANTILES = "quantiles"
    PRICES = "prices"


class State(Protocol):
    """What every state can do. `n` is the number of observations (for distinct states: of members)."""

    @property
    def n(self) -> int: ...
    def __add__(self, other: Self) -> Self: ...
    def encode(self) -> Encoded: ...


@dataclass(frozen=True, slots=True)
class Count:
    """How many."""

    n: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.n + other.n)

    def encode(self) -> Encoded:
        return self.n, None, None

    @classmethod
    def decode(cls, n: int, total: Decimal | None = None, state: bytes | None = None) -> Count:
        return cls(n)


@dataclass(frozen=True, slots=True)
class Total:
    """An exact sum: `units` of 10^-places, over `n` values that are not null. `places` is the least that will do."""

    n: int = 0
    units: int = 0
    places: int = 0

    def __post_init__(self) -> None:
        units, places = _shortest(self.units, self.places)
        object.__setattr__(self, "units", units)
        object.__setattr__(self, "places", places)

    @property
    def value(self) -> int | Decimal:
        """The sum: an int when it is whole (minor units of money always are), else a Decimal."""
        return self.units if self.places == 0 else _decimal(self.units, self.places)

    @property
    def mean(self) -> float | None:
        return self.units / self.n / 10**self.places if self.n else None

    def __add__(self, other: Total) -> Total:
        places = max(self.places, other.places)
        units = self.units * 10 ** (places - self.places) + other.units * 10 ** (places - other.places)
        return Total(self.n + other.n, units, places)

    def encode(self) -> Encoded:
        return self.n, _decimal(self.units, self.places), None

    @classmethod
    def decode(cls, n: int, total: Decimal | None = None, state: bytes | None = None) -> Total:
        return cls(n, *_units(total))


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of squares, exact: mean and variance of any union of buckets."""

    n: int = 0
    units: int = 0
    squares: int = 0
    places: int = 0

    def __post_init__(self) -> None:
        units, squares, places = self.units, self.squares, self.places
        while places and units % 10 == 0 and squares % 100 == 0:
            units, squares, places = units // 10, squares // 100, places - 1
        object.__setattr__(self, "units", units)
        object.__setattr__(self, "squares", squares)
        object.__setattr__(self, "places", places)

    @property
    def mean(self) -> float | None:
        return self.units / self.n / 10**self.places if self.n else None

    @property
    def variance(self) -> float | None:
        """Sample variance, (Σx² − (Σx)²/n) / (n − 1), worked in integers; null below two values."""
        if self.n < 2:
            return None
        spread = (self.n * self.squares - self.units**2) / (self.n * (self.n - 1))
        return float(spread / 10 ** (2 * self.places))

    def __add__(self, other: Moments) -> Moments:
        places = max(self.places, other.places)
        mine, theirs = 10 ** (places - self.places), 10 ** (places - other.places)
        return Moments(
            self.n + other.n,
            self.units * mine + other.units * theirs,
            self.squares * mine**2 + other.squares * theirs**2,
            places,
        )

    def encode(self) -> Encoded:
        return self.n, _decimal(self.units, self.places), self.pack(self.squares, self.places)

    @staticmethod
    def pack(squares: int, places: int) -> bytes:
        """The part of the encoding that no column holds."""
        return bytes([places]) + squares.to_bytes((squares.bit_length() + 7) // 8, "little")

    @classmethod
    def decode(cls, n: int, total: Decimal | None = None, state: bytes | None = None) -> Moments:
        places, squares = (state[0], int.from_bytes(state[1:], "little")) if state else (0, 0)
        return cls(n, int((total or Decimal(0)).scaleb(places, _EXACT)), squares, places)


@dataclass(frozen=True, slots=True)
class Extremes:
    """Least and greatest value; infinities stand for "none yet"."""

    n: int = 0
    least: float = math.inf
    greatest: float = -math.inf

    def __add__(self, other: Extremes) -> Extremes:
        return Extremes(self.n + other.n, min(self.least, other.least), max(self.greatest, other.greatest))

    def encode(self) -> Encoded:
        return self.n, None, struct.pack("<dd", self.least + 0.0, self.greatest + 0.0)

    @classmethod
    def decode(cls, n: int, total: Decimal | None = None, state: bytes | None = None) -> Extremes:
        return cls(n, *struct.unpack("<dd", state)) if state else cls()


@dataclass(frozen=True, slots=True)
class Distinct:
    """Exactly which persons: a roaring bitmap of dense 32-bit ids, stored in roaring's portable format."""

    ids: FrozenBitMap = field(default_factory=FrozenBitMap)

    @property
    def n(self) -> int:
        return len(self.ids)

    def __add__(self, other: Distinct) -> Distinct:
        return Distinct(self.ids | other.ids)

    def encode(self) -> Encoded:
        return self.n, None, self.ids.serialize()

    @classmethod
    def of(cls, ids: Iterable[int]) -> Distinct:
        return cls(FrozenBitMap(ids))

    @classmethod
    def decode(cls, n: int, total: Decimal | None = None, state: bytes | None = None) -> Distinct | DistinctKeys:
        """Bitmaps and key sets are told apart by their first bytes; every roaring bitmap starts with another."""
        if state and state.startswith(DistinctKeys.MAGIC):
            return DistinctKeys.decode(n, total, state)
        return cls(FrozenBitMap.deserialize(state)) if state else cls()


@dataclass(frozen=True, slots=True)
class DistinctKeys:
    """Which texts (object ids): the set of their 64-bit BLAKE2b hashes, sorted.

    Not a bitmap, because hashes are not dense. Two of a million different texts share a hash with probability below
    3e-8 (n²/2⁶⁵), so the count is exact for practical purposes.
    """

    MAGIC: ClassVar[bytes] = b"K8\0\0"
    keys: frozenset[int] = frozenset()

    @property
    def n(self) -> int:
        return len(self.keys)

    def __add__(self, other: DistinctKeys | Distinct) -> DistinctKeys:
        if isinstance(other, Distinct):  # the zero of a distinct state that was decoded without bytes
            return self
        return DistinctKeys(self.keys | other.keys)

    def encode(self) -> Encoded:
        return self.n, None, self.MAGIC + np.array(sorted(self.keys), dtype="<u8").tobytes()

    @classmethod
    def decode(cls, n: int, total: Decimal | None = None, state: bytes | None = None) -> DistinctKeys:
        body = (state or b"")[len(cls.MAGIC) :]
        return cls(frozenset(np.frombuffer(body, dtype="<u8").tolist()))


@dataclass(frozen=True, slots=True)
class Repeat:
    """Which persons were there at least once, and which at least twice: counts that stop at two, which add too."""

    once: FrozenBitMap = field(default_factory=FrozenBitMap)
    twice: FrozenBitMap = field(default_factory=FrozenBitMap)

    @property
    def n(self) -> int:
        return len(self.once)

    def __add__(self, other: Repeat) -> Repeat:
        return Repeat(self.once | other.once, self.twice | other.twice | (self.once & other.once))

    def encode(self) -> Encoded:
        once = self.once.serialize()
        return self.n, None, struct.pack("<I", len(once)) + once + self.twice.serialize()

    @classmethod
    def decode(cls, n: int, total: Decimal | None = None, state: bytes | None = None) -> Repeat:
        if not state:
            return cls()
        (size,) = struct.unpack_from("<I", state)
        once, twice = state[4 : 4 + size], state[4 + size :]
        return cls(FrozenBitMap.deserialize(once), FrozenBitMap.deserialize(twice))


ACCURACY = 0.01
"""Relative error of every quantile. Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, propositions 3 and 4."""
SMALLEST, LARGEST = 1e-9, 1e15
"""Magnitudes below count as zero, above as LARGEST; that bounds a sketch to 2,764 bins a sign."""
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)
_OFFSET = 2_000
_ZERO_BIN = 0


def quantile_bins(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The bin of each value: 0 for zero, ±(i + 2000) for magnitudes in (γ^(i−1), γ^i]; ordered as the values are."""
    size = np.clip(np.abs(values), None, LARGEST)
    with np.errstate(divide="ignore"):
        index = np.ceil(np.log(size) / _LOG_GAMMA)
    bins = np.where(size < SMALLEST, 0, np.nan_to_num(index, neginf=0.0) + _OFFSET)
    return (np.sign(values) * bins).astype(np.int64)


def bin_value(index: int) -> float:
    """The value that stands for all of a bin, within ACCURACY of each."""
    if index == _ZERO_BIN:
        return 0.0
    return math.copysign(2 * _GAMMA ** (abs(index) - _OFFSET) / (_GAMMA + 1), index)


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A sketch of a distribution: counts in bins of ±1 % (ACCURACY). Sketches add by adding counts, so merging is
    exact.
    """

    bins: tuple[tuple[int, int], ...] = ()

    @property
    def n(self) -> int:
        return sum(count for _, count in self.bins)

    def quantile(self, q: float) -> float | None:
        """The q-quantile, 0 ≤ q ≤ 1, interpolated between the neighbours of rank q(n − 1); null when empty.

        Within ACCURACY of the exact one relatively, for values of one sign between SMALLEST and LARGEST.
        """
        if not self.bins:
            return None
        rank = q * (self.n - 1)
        low, high = self._at(math.floor(rank)), self._at(math.ceil(rank))
        return low + (high - low) * (rank - math.floor(rank))

    def _at(self, rank: int) -> float:
        seen = 0
        for index, count in self.bins:
            seen += count
            if seen > rank:
                return bin_value(index)
        return bin_value(self.bins[-1][0])

    def __add__(self, other: Quantiles) -> Quantiles:
        counts = dict(self.bins)
        for index, count in other.bins:
            counts[index] = counts.get(index, 0) + count
        return Quantiles(tuple(sorted(counts.items())))

    def encode(self) -> Encoded:
        array = np.array(self.bins, dtype="<i8").reshape(-1, 2)
        return self.encode_many([self.n], [0, len(array)], array[:, 0], array[:, 1])[0]

    @staticmethod
    def encode_many(
        sizes: Sequence[int], bounds: Sequence[int], index: npt.NDArray[np.int64], count: npt.NDArray[np.int64]
    ) -> list[Encoded]:
        """The encodings of states that lie one after the other: each of `sizes` values, whose ascending bins and how
        many values lie in each stand between two of the bounds.
        """
        bins, counts = index.astype("<i2").tobytes(), count.astype("<i8").tobytes()
        spans = zip(sizes, itertools.pairwise(bounds), strict=True)
        return [(n, None, bins[2 * a : 2 * b] + counts[8 * a : 8 * b]) for n, (a, b) in spans]

    @classmethod
    def of(cls, values: Iterable[float]) -> Quantiles:
        index, count = np.unique(quantile_bins(np.fromiter(values, np.float64)), return_counts=True)
        return cls(tuple(zip(index.tolist(), count.tolist(), strict=True)))

    @classmethod
    def decode(cls, n: int, total: Decimal | None = None, state: bytes | None = None) -> Quantiles:
        state = state or b""
        size = len(state) // 10
        index = np.frombuffer(state, "<i2", size).tolist()
        count = np.frombuffer(state, "<i8", size, offset=2 * size).tolist()
        return cls(tuple(zip(index, count, strict=True)))


INTERVALS = ("day", "week", "month", "quarter", "year")


class Price(NamedTuple):
    """The last word on one subscription: `amount` of its own currency (`base` of the base currency), in minor units,
    for `intervals` intervals; 0 when it has ended. `key` is a hash of the subscription's id, `at` is in microseconds.
    """

    person: int
    key: int
    at: int
    base: int
    amount: int
    currency: str
    interval: int
    intervals: int
    was_paid: bool

    @property
    def name(self) -> tuple[int, int]:
        return self.person, self.key

    def later(self, other: Price) -> Price:
        """The one that was said last, of equal times the greater; it remembers whether either was ever paid."""
        last = max(self[:-1], other[:-1])
        return Price(*last, self.was_paid or other.was_paid)


_PRICE = struct.Struct("<IQqqq3sBH?")


@dataclass(frozen=True, slots=True)
class Prices:
    """What each subscription costs from then on: the later word wins, so states of any stretches of time add.

    Entries are sorted by person and key, one for each.
    """

    entries: tuple[Price, ...] = ()

    @property
    def n(self) -> int:
        return len(self.entries)

    def __add__(self, other: Prices) -> Prices:
        return self.united([self, other])

    @classmethod
    def united(cls, states: Iterable[Prices]) -> Prices:
        return cls.of(price for state in states for price in state.entries)

    @classmethod
    def of(cls, prices: Iterable[Price]) -> Prices:
        found: dict[tuple[int, int], Price] = {}
        for price in prices:
            known = found.get(price.name)
            found[price.name] = price if known is None else known.later(price)
        return cls(tuple(found[name] for name in sorted(found)))

    def encode(self) -> Encoded:
        packed = (_PRICE.pack(*price[:5], price.currency.encode(), *price[6:]) for price in self.entries)
        return self.n, None, b"".join(packed)

    @classmethod
    def decode(cls, n: int, total: Decimal | None = None, state: bytes | None = None) -> Prices:
        rows = _PRICE.iter_unpack(state or b"")
        return cls(tuple(Price._make((*row[:5], row[5].rstrip(b"\0").decode(), *row[6:])) for row in rows))


AnyState = Count | Total | Moments | Extremes | Distinct | DistinctKeys | Quantiles | Repeat | Prices
AGGREGATES: dict[str, type[Count | Total | Moments | Extremes | Distinct | Quantiles | Repeat | Prices]] = {
    Aggregate.COUNT: Count,
    Aggregate.TOTAL: Total,
    Aggregate.MOMENTS: Moments,
    Aggregate.EXTREMES: Extremes,
    Aggregate.DISTINCT: Distinct,
    Aggregate.REPEAT: Repeat,
    Aggregate.QUANTILES: Quantiles,
    Aggregate.PRICES: Prices,
}


def decode(aggregate: str, n: int, total: Decimal | None, state: bytes | None) -> AnyState:
    """The state of a bucket row whose measure declares `aggregate`."""
    return AGGREGATES[aggregate].decode(n, total, state)


def merge_encoded(aggregate: str, parts: list[Encoded]) -> Encoded:
    """The encoding of the sum of `parts`, without building states that are only numbers."""
    if len(parts) == 1:
        return parts[0]
    if aggregate == Aggregate.COUNT:
        return sum(n for n, _, _ in parts), None, None
    if aggregate == Aggregate.TOTAL:
        return sum(n for n, _, _ in parts), _sum_decimals([total for _, total, _ in parts]), None
    if aggregate == Aggregate.DISTINCT and not any(_is_keys(state) for _, _, state in parts):
        ids = BitMap.union(*(BitMap.deserialize(state) for _, _, state in parts if state)) if parts else BitMap()
        ids.run_optimize()
        return len(ids), None, ids.serialize()
    return _sum_states([decode(aggregate, *part) for part in parts]).encode()


def _is_keys(state: bytes | None) -> bool:
    return state is not None and state.startswith(DistinctKeys.MAGIC)


def _sum_states(states: list[AnyState]) -> AnyState:
    if isinstance(states[0], Prices):
        return Prices.united(state for state in states if isinstance(state, Prices))
    first, *rest = states
    for state in rest:
        first = first + state  # type: ignore[operator]  # states of one aggregate add to each other
    return first


def _sum_decimals(totals: list[Decimal | None]) -> Decimal:
    result = Decimal(0)
    for total in totals:
        if total is not None:
            result = _EXACT.add(result, total)
    return result


def _decimal(units: int, places: int) -> Decimal:
    return Decimal(units).scaleb(-places, _EXACT)


def _units(total: Decimal | None) -> tuple[int, int]:
    if total is None:
        return 0, 0
    places = max(0, -int(total.as_tuple().exponent))
    return int(total.scaleb(places, _EXACT)), places


def _shortest(units: int, places: int) -> tuple[int, int]:
    while places and units % 10 == 0:
        units, places = units // 10, places - 1
    return units, places
