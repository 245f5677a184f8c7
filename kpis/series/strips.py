"""States of one measure side by side in time, and their unions over ranges. Pure; times are microseconds of UTC."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pyroaring import BitMap, FrozenBitMap

from analytics.aggregates import AGGREGATES, AnyState, Count, Distinct, Prices, Repeat, Total, decode

Span = tuple[int, int]
EMPTY = FrozenBitMap()


@dataclass(slots=True)
class Strip:
    """Encoded states by the start of their bucket, decoded when first asked for.

    Buckets may differ in width but never overlap, and no range asked for cuts one.
    """

    aggregate: str
    starts: list[int] = field(default_factory=list)
    rows: list[tuple[int, Decimal | None, bytes | None]] = field(default_factory=list)
    _states: dict[int, AnyState] = field(default_factory=dict)
    _merged: dict[Span, AnyState] = field(default_factory=dict)
    _sizes: dict[Span, int] = field(default_factory=dict)

    @classmethod
    def of(cls, aggregate: str, parts: Iterable[tuple[int, tuple[int, Decimal | None, bytes | None]]]) -> Strip:
        ordered = sorted(parts, key=lambda part: part[0])
        return cls(aggregate, [start for start, _ in ordered], [row for _, row in ordered])

    def merged(self, span: Span) -> AnyState:
        """The sum of all states whose bucket starts in the span; the empty state when there is none."""
        if span not in self._merged:
            self._merged[span] = self._sum(*self.slice(span))
        return self._merged[span]

    def slice(self, span: Span) -> tuple[int, int]:
        return bisect_left(self.starts, span[0]), bisect_left(self.starts, span[1])

    def state(self, index: int) -> AnyState:
        if index not in self._states:
            self._states[index] = decode(self.aggregate, *self.rows[index])
        return self._states[index]

    def prime(self, spans: Sequence[Span]) -> None:
        """Work out how many people are in many sliding windows at once; both ends of the spans must ascend."""
        if self.aggregate == "distinct" and not any(self._is_keyed(index) for index in range(*self.reach(spans))):
            self._sizes.update(zip(spans, self._slide(spans), strict=True))

    def size(self, span: Span) -> int:
        """How many there are in the span: `merged(span).n`, quicker where the span was primed."""
        return self._sizes[span] if span in self._sizes else self.merged(span).n

    def among(self, people: FrozenBitMap, spans: Sequence[Span]) -> Strip:
        """The same of these people alone, as far as the spans reach; of a strip of people."""
        reach = range(*self.reach(spans))
        found = Strip("distinct", [self.starts[index] for index in reach], [(0, None, None)] * len(reach))
        found._states = {place: Distinct(members(self.state(index)) & people) for place, index in enumerate(reach)}
        return found

    def reach(self, spans: Sequence[Span]) -> Span:
        return self.slice((spans[0][0], spans[-1][1])) if spans else (0, 0)

    def _is_keyed(self, index: int) -> bool:
        return not isinstance(self.state(index), Distinct)

    def _sum(self, first: int, last: int) -> AnyState:
        if self.aggregate == "count":
            return Count(sum(row[0] for row in self.rows[first:last]))
        return add_up(self.aggregate, [self.state(index) for index in range(first, last)])

    def _slide(self, spans: Sequence[Span]) -> Iterator[int]:
        """A queue of two stacks: `front` holds unions of each bucket with all later ones, `back` one running union.

        Each bucket is united twice in all, and a window costs the size of one union that is never made.
        """
        front: list[tuple[int, FrozenBitMap]] = []
        back: list[tuple[int, FrozenBitMap]] = []
        running = BitMap()
        taken = self.reach(spans)[0]
        for low, high in spans:
            while taken < len(self.starts) and self.starts[taken] < high:
                bits = members(self.state(taken))
                back.append((self.starts[taken], bits))
                running |= bits
                taken += 1
            while front and front[-1][0] < low:
                front.pop()
            if not front and back and back[0][0] < low:
                front, back, running = _turned(back, low), [], BitMap()
            yield running.union_cardinality(front[-1][1]) if front else len(running)


def _turned(back: list[tuple[int, FrozenBitMap]], low: int) -> list[tuple[int, FrozenBitMap]]:
    front: list[tuple[int, FrozenBitMap]] = []
    union = EMPTY
    for start, bits in reversed(back):
        if start < low:
            break
        union = union | bits
        front.append((start, union))
    return front


def add_up(aggregate: str, states: Sequence[AnyState]) -> AnyState:
    """The sum of the states; sets are united all at once."""
    if not states:
        return AGGREGATES[aggregate]()
    if len(states) == 1:
        return states[0]
    if aggregate == "distinct" and all(isinstance(state, Distinct) for state in states):
        return Distinct(FrozenBitMap.union(*(members(state) for state in states)))
    if aggregate == "total":
        return _sum_totals([state for state in states if isinstance(state, Total)])
    if aggregate == "prices":
        return Prices.united(state for state in states if isinstance(state, Prices))
    total = states[0]
    for state in states[1:]:
        total = total + state  # type: ignore[operator]  # states of one aggregate add to each other
    return total


def _sum_totals(totals: Sequence[Total]) -> Total:
    if len({total.places for total in totals}) > 1:
        return sum(totals, start=Total())
    return Total(sum(total.n for total in totals), sum(total.units for total in totals), totals[0].places)


def members(state: AnyState) -> FrozenBitMap:
    """The people in a set-like state. TypeError for any other."""
    if isinstance(state, Distinct):
        return state.ids
    if isinstance(state, Repeat):
        return state.once
    raise TypeError(f"a {type(state).__name__} has no members")


def together(strips: Sequence[Strip]) -> Strip:
    """One strip of several (the "other" of a breakdown, the values of a filter): buckets of one start are added."""
    aggregate = strips[0].aggregate
    by_start: dict[int, list[AnyState]] = {}
    for strip in strips:
        for index, start in enumerate(strip.starts):
            by_start.setdefault(start, []).append(strip.state(index))
    merged = Strip(aggregate, sorted(by_start))
    merged.rows = [(0, None, None)] * len(by_start)
    merged._states = {index: add_up(aggregate, by_start[start]) for index, start in enumerate(merged.starts)}
    if aggregate == "count":
        merged.rows = [(state.n, None, None) for _, state in sorted(merged._states.items())]
    return merged
