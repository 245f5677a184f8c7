"""Matching of some of the people for `packed.py`: all steps in one sorted array of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from analytics.periods import to_micros
from kpis.explore.stamp import micros_of
from kpis.funnels.attempts import NEVER, Attempts, Flags, Ints
from kpis.funnels.kernel import first_of_run
from kpis.funnels.question import Funnel

Bytes: TypeAlias = npt.NDArray[np.uint8]


class Events(Protocol):
    """Events of one step."""

    @property
    def step(self) -> int: ...
    @property
    def person(self) -> Ints: ...
    @property
    def ts(self) -> Ints: ...


@dataclass(frozen=True)
class Layout:
    """A number is a person since `low`, `width` bits of microseconds since `base`, and `tag` bits of the step."""

    low: int
    base: int
    width: int
    tag: int

    @classmethod
    def of(cls, funnel: Funnel, low: int) -> Layout:
        start, end = funnel.span
        return cls(low, to_micros(start), micros_of(end - start).bit_length(), (len(funnel.steps) - 1).bit_length())

    def packed(self, runs: Sequence[Events]) -> Ints:
        """All their events, sorted."""
        numbers = np.concatenate([run.person for run in runs]).astype(np.int64)
        numbers -= self.low
        numbers <<= self.width
        numbers += np.concatenate([run.ts for run in runs])
        numbers -= self.base
        numbers <<= self.tag
        at = 0
        for before, run in pairwise([None, *runs]):
            assert run is not None
            at += 0 if before is None else len(before.ts)
            if run.step:
                numbers[at : at + len(run.ts)] |= run.step
        numbers.sort()
        return numbers

    def time(self, key: Ints) -> Ints:
        """Of a number without its tag."""
        return key & ((1 << self.width) - 1)


@dataclass(frozen=True)
class Chains:
    """Rows by person and time: an event of the second step and those that follow it, and the places [low, until) of
    the entries that lead to it and not to one before."""

    person: Ints
    until: Ints
    low: Ints
    events: list[Ints]

    def taken(self, rows: Ints) -> Chains:
        events = [keys[rows] for keys in self.events]
        return Chains(self.person[rows], self.until[rows], self.low[rows], events)


class Matching:
    """The best attempt of each person. Keys are numbers without their tag, times count from the layout's base."""

    def __init__(self, funnel: Funnel, layout: Layout, through: int, numbers: Ints) -> None:
        """`tied` are people with events of different steps at one microsecond; they are left out."""
        self._layout, self._through = layout, through - layout.base
        self._window = micros_of(funnel.window)
        self._within = [self._window if step.within is None else micros_of(step.within) for step in funnel.steps]
        self._count = len(funnel.steps)
        self._split(numbers)
        if funnel.end < funnel.span[1] or funnel.entry == "first":
            self._keep_entries(funnel)

    def _split(self, numbers: Ints) -> None:
        """`first` are the keys of entries, `rest` those of later steps with how many entries lie before each."""
        steps = self._tags(numbers)
        at = np.flatnonzero(steps != 0)
        self.tied = self._people_tied(numbers, at)
        if len(self.tied):
            people = (numbers >> self._layout.tag + self._layout.width) + self._layout.low
            numbers = numbers[np.flatnonzero(~np.isin(people, self.tied))]
            steps = self._tags(numbers)
            at = np.flatnonzero(steps != 0)
        self._steps = steps[at]
        self._until = at - np.arange(len(at))
        self.first = numbers[np.flatnonzero(steps == 0)]  # twice as fast as by the truths themselves
        self.first >>= self._layout.tag
        self._rest = numbers[at] >> self._layout.tag

    def _tags(self, numbers: Ints) -> Bytes:
        return numbers.astype(np.uint8) & np.uint8((1 << self._layout.tag) - 1)

    def _people_tied(self, numbers: Ints, at: Ints) -> Ints:
        """Whose events at these places have a neighbour of another step at the same time."""
        rest, found = numbers[at], []
        for neighbour in (np.maximum(at - 1, 0), np.minimum(at + 1, len(numbers) - 1)):
            apart = rest ^ numbers[neighbour]
            found.append(rest[np.flatnonzero((apart > 0) & (apart >> self._layout.tag == 0))])
        return np.unique(np.concatenate(found) >> self._layout.tag + self._layout.width) + self._layout.low

    def _keep_entries(self, funnel: Funnel) -> None:
        """Without what is too late to enter by, or not the person's first."""
        kept = self._layout.time(self.first) < micros_of(funnel.end - funnel.start)
        if funnel.entry == "first":
            kept &= first_of_run(self.first >> self._layout.width)
        if not kept.all():
            self._until = np.append(0, counted(kept))[self._until]
            self.first = self.first[kept]

    def attempts(self) -> Attempts:
        """From the furthest level down: who got further is out of the way when the rest chooses."""
        self._base = self.first >> self._layout.width << self._layout.width
        self._starts = np.flatnonzero(first_of_run(self._base))
        self._base = self._base[self._starts]
        people = len(self._starts)
        self._at = [np.full(people, NEVER) for _ in range(self._count)]
        self._deadline = np.zeros(people, dtype=np.int64)
        self._is_done = np.zeros(people, dtype=bool)
        chains = list(self._chains())
        for chain in reversed(chains):
            self._settle(chain)
        self._settle_entries()
        return Attempts(
            person=(self._base >> self._layout.width) + self._layout.low,
            at=tuple(self._at),
            deadline=self._deadline,
            settles=self._at[0] + self._window,
            excluded=np.zeros(people, dtype=bool),
        )

    def _chains(self) -> Iterator[Chains]:
        """For each step but the first the chains that get there, as to the windows of single steps."""
        rows = np.flatnonzero(self._steps == 1)
        until = self._until[rows]
        # Entries of a chain lie after the event of the second step before it, and are the same person's.
        low = np.append(0, until[:-1])[: len(until)]
        mine = np.flatnonzero(until > low)
        rows, until, low = rows[mine], until[mine], low[mine]
        keys = self._rest[rows]
        mine = np.flatnonzero((self.first[until - 1] ^ keys) >> self._layout.width == 0)
        rows, until, low, keys = rows[mine], until[mine], low[mine], keys[mine]
        run = first_of_run(keys >> self._layout.width)
        people = np.searchsorted(self._base, keys[run] >> self._layout.width << self._layout.width)
        found = Chains(people[counted(run) - 1], until, low, [keys])
        yield found
        for step in range(2, self._count):
            kept, rows, keys = self._next(rows, found.events[-1], step)
            found = found.taken(kept)
            found.events.append(keys)
            yield found

    def _next(self, rows: Ints, keys: Ints, step: int) -> tuple[Ints, Ints, Ints]:
        """Which of the events reach the step in time, and its event: the row and the key."""
        is_here = self._steps == step
        places = np.flatnonzero(is_here)
        if len(places) == 0:
            return rows[:0], rows[:0], rows[:0]
        slot = np.minimum(counted(is_here)[rows], len(places) - 1)
        rows = places[slot]
        found = self._rest[rows]
        fits = (found > keys) & (found - keys <= self._within[step]) & ((found ^ keys) >> self._layout.width == 0)
        kept = np.flatnonzero(fits)
        return kept, rows[kept], found[kept]

    def _settle(self, chains: Chains) -> None:
        """The attempts of those who get so far and no further: the first open one, else the first."""
        chains = chains.taken(np.flatnonzero(~self._is_done[chains.person]))
        level = len(chains.events) + 1
        earliest = np.maximum(chains.events[-1] - self._window, chains.events[0] - self._within[1])
        earliest = np.maximum(earliest, self._base[chains.person])
        self._put(chains, earliest)
        if level < self._count:
            is_late = self._layout.time(chains.events[-1]) + self._within[level] >= self._through
            late = np.flatnonzero(is_late)
            if self._through - self._window < 1 << self._layout.width and len(late):
                chains = chains.taken(late)
                since = self._base[chains.person] + max(0, self._through - self._window)
                self._put(chains, np.maximum(earliest[late], since))

    def _put(self, chains: Chains, earliest: Ints) -> None:
        """Each person's first chain that has an entry not before `earliest`, with the first such entry."""
        rows = np.flatnonzero(self.first[chains.until - 1] >= earliest)
        rows = rows[first_of_run(chains.person[rows])]
        entry = np.maximum(np.searchsorted(self.first, earliest[rows]), chains.low[rows])
        self._write(chains.person[rows], [self.first[entry], *(keys[rows] for keys in chains.events)])

    def _settle_entries(self) -> None:
        """The attempts of those who went no further than in."""
        person = np.flatnonzero(~self._is_done)
        self._write(person, [self.first[self._starts[person]]])
        since = self._through - self._within[1]
        if since >= 1 << self._layout.width:
            return
        last = self.first[np.append(self._starts[1:], len(self.first))[person] - 1]
        person = person[last >= self._base[person] + max(0, since)]
        entry = np.searchsorted(self.first, self._base[person] + max(0, since))
        self._write(person, [self.first[entry]])

    def _write(self, person: Ints, keys: list[Ints]) -> None:
        times = [self._layout.time(key) for key in keys]
        index = min(len(keys), self._count - 1)
        for at, time in zip(self._at, times, strict=False):
            at[person] = time + self._layout.base
        deadline = np.minimum(times[0] + self._window, times[index - 1] + self._within[index])
        self._deadline[person] = deadline + self._layout.base
        self._is_done[person] = True


def counted(flags: Flags) -> npt.NDArray[np.int32]:
    """How many are set up to each place. Summing truths as they are takes the interpreter's lock all the time."""
    return flags.astype(np.int32).cumsum(dtype=np.int32)


def no_attempts(count: int) -> Attempts:
    """No attempts at a funnel of so many steps."""
    empty = np.zeros(0, dtype=np.int64)
    return Attempts(empty, (empty,) * count, empty, empty, empty.astype(bool))
