"""The common funnel, fast: plain steps in order, each event of at most one of them.

An event is one number, person before time, so that each step is a sorted array of numbers, "the next event of step k"
a binary search, and "in time, of the same person" a subtraction. Parts of the people are followed side by side. Where
two events of different steps have the same person and microsecond, the order of receipt decides, which a number does
not know: then, as for anything less plain, the general kernel answers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analytics.lazily import Lazily
from analytics.periods import to_micros
from kpis.explore.picks import all_hold, people_only, picked
from kpis.explore.stamp import EventSource, micros_of
from kpis.funnels.attempts import NEVER, Attempts, Flags, Ints
from kpis.funnels.kernel import first_of_run
from kpis.funnels.question import Funnel
from kpis.funnels.rows import names_wanted

if TYPE_CHECKING:
    import ibis
else:
    ibis = Lazily("ibis")

PARTS: Final = 4
BITS: Final = 63


@dataclass(frozen=True)
class Layout:
    """`base` is time 0; the lowest `width` bits are microseconds since then, the others the person."""

    base: int
    width: int

    @property
    def people(self) -> int:
        """Persons beyond this number do not fit."""
        return 1 << (BITS - self.width)


class Tied(Exception):
    """Two events of different steps at the same microsecond."""


def is_plain(funnel: Funnel) -> bool:
    """Whether it is a funnel for this file."""
    steps = [set(step.pick.all_names) for step in funnel.steps]
    return (
        funnel.order == "ordered"
        and len(funnel.required) == len(funnel.steps)
        and not (funnel.exclusions or funnel.hold or funnel.by)
        and all(steps)
        and not any(left & right for left, right in combinations(steps, 2))
    )


def packed_attempts(source: EventSource, funnel: Funnel, through: int) -> Attempts | None:
    """One attempt for each person; None where the numbers do not tell enough."""
    layout = Layout(to_micros(funnel.span[0]), (micros_of(funnel.span[1] - funnel.span[0])).bit_length())
    found = source.run(_selection(source, funnel, layout))
    key, code = found.column("key").to_numpy(), found.column("code").to_numpy()
    if len(key) and int(key.min()) < 0:
        return None
    with ThreadPoolExecutor(PARTS) as pool:
        steps = list(pool.map(lambda number: np.sort(key[code == number]), range(len(funnel.steps))))
        try:
            parts = list(pool.map(lambda part: _followed(part, funnel, layout, through), _parts(steps, layout)))
        except Tied:
            return None
    return _joined(parts, len(funnel.steps))


def _selection(source: EventSource, funnel: Funnel, layout: Layout) -> Any:
    table = people_only(source.events, funnel.include)
    table = table.filter((table.ts >= layout.base) & (table.ts < to_micros(funnel.span[1])))
    table = table.filter(table.name.isin(names_wanted([step.pick for step in funnel.steps])))
    if any(step.pick.where for step in funnel.steps):
        truths = [picked(source, table, step.pick) for step in funnel.steps]
        table = table.filter(reduce(lambda left, right: left | right, truths))
    if funnel.filters:
        table = table.filter(all_hold(source, table, funnel.filters))
    # Names of steps are apart, so the name alone says which step an event is; what is none of the others is the first.
    others = [(table.name.isin(step.pick.all_names), number) for number, step in enumerate(funnel.steps) if number]
    code = ibis.cases(*others, else_=0)
    number = table.person_id.cast("int64") * (1 << layout.width) + (table.ts - layout.base)
    fits = table.person_id < min(layout.people, 2**31 - 1)
    return table.select(key=ibis.ifelse(fits, number, -1), code=code.cast("int8"))


def _parts(steps: list[Ints], layout: Layout) -> list[list[Ints]]:
    """The steps of some of the people each, about as many events in each part."""
    first = steps[0]
    if len(first) == 0:
        return []
    cuts = [int(first[len(first) * part // PARTS]) >> layout.width << layout.width for part in range(1, PARTS)]
    edges = [np.concatenate([[0], np.searchsorted(step, cuts), [len(step)]]) for step in steps]
    return [
        [step[edge[part] : edge[part + 1]] for step, edge in zip(steps, edges, strict=True)] for part in range(PARTS)
    ]


def _followed(steps: list[Ints], funnel: Funnel, layout: Layout, through: int) -> Attempts:
    """Chains of every entry, then the one that stands for each person."""
    window = micros_of(funnel.window)
    entries = steps[0][_time(steps[0], layout) < micros_of(funnel.end - funnel.start)]
    if funnel.entry == "first":
        entries = entries[first_of_run(entries >> layout.width)]
    chains: list[list[Ints]] = [[entries]]
    for index in range(1, len(steps)):
        chains.append(_next(chains[-1], steps[index], _limit(chains[-1], funnel, index, window), layout))
    return _chosen(chains, funnel, layout, through - layout.base, window)


def _time(key: Ints, layout: Layout) -> Ints:
    return key & ((1 << layout.width) - 1)


def _limit(chain: list[Ints], funnel: Funnel, index: int, window: int) -> Ints:
    """The last number that step `index` may have, for each chain."""
    within = funnel.steps[index].within
    whole = chain[0] + window
    return whole if within is None else np.minimum(whole, chain[-1] + micros_of(within))


def _next(chain: list[Ints], places: Ints, limit: Ints, layout: Layout) -> list[Ints]:
    """Those chains that reach the next step in time, with its event."""
    after = chain[-1]
    if len(after) == 0 or len(places) == 0:
        return [column[:0] for column in (*chain, after)]
    # How many places are not after each event: counted from the shorter side.
    if len(places) < len(after):
        slot = np.cumsum(np.bincount(np.searchsorted(after, places), minlength=len(after) + 1))[: len(after)]
    else:
        slot = np.searchsorted(places, after, side="right")
    if np.any(places[np.maximum(slot - 1, 0)] == after):
        raise Tied
    found = places[np.minimum(slot, len(places) - 1)]
    fits = (found > after) & (found <= limit) & ((found ^ after) >> layout.width == 0)
    return [column[fits] for column in (*chain, found)]


def _chosen(chains: list[list[Ints]], funnel: Funnel, layout: Layout, through: int, window: int) -> Attempts:
    """By person: furthest, then still open, then earliest. Who got further is out of the way when the rest chooses."""
    count = len(chains)
    low = int(chains[0][0][0]) >> layout.width if len(chains[0][0]) else 0
    size = (int(chains[0][0][-1]) >> layout.width) - low + 1 if len(chains[0][0]) else 0
    is_done = np.zeros(size, dtype=bool)
    parts = []
    for level in range(count, 0, -1):
        chain = chains[level - 1]
        person = (chain[0] >> layout.width) - low
        left = ~is_done[person]
        chain, person = [column[left] for column in chain], person[left]
        limit = _limit(chain[: count - 1], funnel, min(level, count - 1), window)
        deadline = _time(chain[0], layout) + (limit - chain[0])
        row = _best(person, deadline >= through if level < count else np.zeros(len(person), dtype=bool))
        is_done[person[row]] = True
        parts.append(_attempts([column[row] for column in chain], deadline[row], count, layout, window))
    return _joined(parts, count)


def _best(person: Ints, is_open: Flags) -> Ints:
    """Each person's first row that is open, else the first."""
    firsts = np.flatnonzero(first_of_run(person))
    still = np.flatnonzero(is_open)
    still = still[first_of_run(person[still])]
    firsts[np.searchsorted(person[firsts], person[still])] = still
    return firsts


def _attempts(chain: list[Ints], deadline: Ints, count: int, layout: Layout, window: int) -> Attempts:
    at = [_time(column, layout) + layout.base for column in chain]
    never = np.full(len(deadline), NEVER)
    return Attempts(
        person=chain[0] >> layout.width,
        at=tuple(at) + (never,) * (count - len(chain)),
        deadline=deadline + layout.base,
        settles=at[0] + window,
        excluded=np.zeros(len(deadline), dtype=bool),
    )


def _joined(parts: list[Attempts], count: int) -> Attempts:
    """All parts in one, by person."""
    empty = np.zeros(0, dtype=np.int64)
    if not parts:
        return Attempts(empty, (empty,) * count, empty, empty, empty.astype(bool))
    person = np.concatenate([part.person for part in parts])
    order = np.argsort(person)
    return Attempts(
        person[order],
        tuple(np.concatenate([part.at[step] for part in parts])[order] for step in range(count)),
        np.concatenate([part.deadline for part in parts])[order],
        np.concatenate([part.settles for part in parts])[order],
        np.concatenate([part.excluded for part in parts])[order],
    )
