"""The models: how one sale is shared among the touches before it (S14). Pure.

Rule models know the weights of a path from its touches alone. Markov and Shapley look at all paths: Markov asks how
many sales would be missing without a channel, Shapley what each channel adds to every set of others.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from kpis.attribution.money import apportion, split
from kpis.attribution.paths import Floats, Ints, Shares, Spans, Touches

PAIRS: Final = 500_000
"""Pairs of sale and touch looked at together, which bounds memory."""
THREADS: Final = 4


@dataclass
class Credits:
    """By key; the last key is "no touch". `revenue` in minor units, the others in (parts of) sales."""

    revenue: Ints
    conversions: Floats
    newcomers: Floats

    @classmethod
    def empty(cls, keys: int) -> Credits:
        return cls(np.zeros(keys + 1, dtype=np.int64), np.zeros(keys + 1), np.zeros(keys + 1))

    def add(self, other: Credits) -> None:
        self.revenue += other.revenue
        self.conversions += other.conversions
        self.newcomers += other.newcomers


@dataclass(frozen=True)
class Case:
    """Everything a model looks at. `counts` is 1 for a sale in the range, 0 for the shares of refunds."""

    touches: Touches
    spans: Spans
    shares: Shares
    counts: Floats
    newcomers: Floats
    keys: int
    sold_at: Ints
    half_life: float
    loose: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


Single = Callable[[Case, Ints, Ints], Ints]
Weighing = Callable[[Case, Ints, Ints, Ints, Ints], Floats]


def first(case: Case, low: Ints, high: Ints) -> Ints:
    return low


def last(case: Case, low: Ints, high: Ints) -> Ints:
    return high - 1


def last_non_direct(case: Case, low: Ints, high: Ints) -> Ints:
    """The last that was not direct; direct only where there is nothing else."""
    return _last_of(~case.touches.is_direct, low, high, high - 1)


def last_paid(case: Case, low: Ints, high: Ints) -> Ints:
    """The last that was paid for, else the last that was not direct."""
    return _last_of(case.touches.is_paid, low, high, last_non_direct(case, low, high))


def _last_of(wanted: np.ndarray[tuple[int], np.dtype[np.bool_]], low: Ints, high: Ints, otherwise: Ints) -> Ints:
    latest = np.maximum.accumulate(np.where(wanted, np.arange(len(wanted)), -1))[high - 1]
    return np.where(latest >= low, latest, otherwise)


def linear(case: Case, sale: Ints, touch: Ints, place: Ints, count: Ints) -> Floats:
    """All alike."""
    return 1 / count


def time_decay(case: Case, sale: Ints, touch: Ints, place: Ints, count: Ints) -> Floats:
    """2^(−Δt / half-life), made to sum to 1. Measured from the last touch: old paths would vanish in rounding."""
    ends = np.flatnonzero(place == count - 1)
    run = np.repeat(np.arange(len(ends)), count[ends])
    age = case.touches.ts[touch[ends]][run] - case.touches.ts[touch]
    raw = np.exp2(-age / case.half_life)
    return np.asarray(raw / np.add.reduceat(raw, ends - count[ends] + 1)[run])


def position(case: Case, sale: Ints, touch: Ints, place: Ints, count: Ints) -> Floats:
    """40 % first, 40 % last, 20 % shared in between; two touches half each."""
    edge = (place == 0) | (place == count - 1)
    edges = np.where(count == 1, 1.0, np.where(count == 2, 0.5, 0.4))
    return np.where(edge, edges, 0.2 / np.maximum(count - 2, 1))


SINGLES: Final[dict[str, Single]] = {
    "first": first,
    "last": last,
    "last_non_direct": last_non_direct,
    "last_paid": last_paid,
}
WEIGHINGS: Final[dict[str, Weighing]] = {"linear": linear, "time_decay": time_decay, "position": position}


def credits_of(model: str, case: Case) -> Credits:
    """What every key gets under a model."""
    found = _untouched(case)
    if model in SINGLES:
        found.add(_single(case, SINGLES[model]))
    elif model in WEIGHINGS:
        found.add(_together(case, lambda part: _weighed(part, WEIGHINGS[model])))
    elif model == "shapley":
        found.add(_together(case, _shapley))
    else:
        found.add(_markov(case))
    return found


def _untouched(case: Case) -> Credits:
    """Sales that nothing came before belong to nobody."""
    found = Credits.empty(case.keys)
    alone = case.spans.count[case.shares.sale] == 0
    found.revenue[-1] = int((case.shares.amount * case.shares.sign)[alone].sum())
    found.conversions[-1] = case.counts[alone].sum()
    found.newcomers[-1] = case.newcomers[alone].sum()
    return found


def _single(case: Case, model: Single) -> Credits:
    found = Credits.empty(case.keys)
    sale = case.shares.sale
    mine = np.flatnonzero(case.spans.count[sale] > 0)
    if len(mine) == 0:
        return found
    touch = model(case, case.spans.low[sale[mine]], case.spans.high[sale[mine]])
    key = case.touches.key[touch]
    np.add.at(found.revenue, key, (case.shares.amount * case.shares.sign)[mine])
    found.conversions += np.bincount(key, case.counts[mine], case.keys + 1)
    found.newcomers += np.bincount(key, case.newcomers[mine], case.keys + 1)
    return found


@dataclass(frozen=True)
class Part:
    """Some of the shares, paired with their touches: one row a pair, runs of one share following each other."""

    case: Case
    share: Ints
    starts: Ints
    counts: Ints
    run: Ints
    touch: Ints


def _together(case: Case, share_out: Callable[[Part], Credits]) -> Credits:
    """All shares, some at a time on each thread: pairs of sale and touch are many, and are made where they are used."""
    found = Credits.empty(case.keys)
    counts = case.spans.count[case.shares.sale]
    touched = np.flatnonzero(counts > 0)
    block = np.cumsum(counts[touched]) // PAIRS
    cut = np.split(touched, np.flatnonzero(np.diff(block)) + 1)
    with ThreadPoolExecutor(THREADS) as pool:
        for part in pool.map(lambda share: share_out(_part(case, share, counts[share])), [s for s in cut if len(s)]):
            found.add(part)
    return found


def _part(case: Case, share: Ints, counts: Ints) -> Part:
    starts = np.cumsum(counts) - counts
    run = np.repeat(np.arange(len(share)), counts)
    place = np.arange(len(run)) - starts[run]
    return Part(case, share, starts, counts, run, case.spans.low[case.shares.sale[share]][run] + place)


def _weighed(part: Part, model: Weighing) -> Credits:
    case, run = part.case, part.run
    place = np.arange(len(run)) - part.starts[run]
    weights = model(case, case.shares.sale[part.share][run], part.touch, place, part.counts[run])
    return _given(part, case.touches.key[part.touch], weights, part.starts, part.counts)


def _given(part: Part, key: Ints, weights: Floats, starts: Ints, counts: Ints) -> Credits:
    case = part.case
    found = Credits.empty(case.keys)
    run = np.repeat(np.arange(len(part.share)), counts)
    money = split(case.shares.amount[part.share], weights, starts, counts)
    np.add.at(found.revenue, key, money * case.shares.sign[part.share][run])
    found.conversions += np.bincount(key, weights * case.counts[part.share][run], case.keys + 1)
    found.newcomers += np.bincount(key, weights * case.newcomers[part.share][run], case.keys + 1)
    return found


def _shapley(part: Part) -> Credits:
    """Each sale in equal parts to the different keys before it: that is the Shapley value when a set of keys is worth
    the sales whose paths lie within it (Zhao, Mahboobi and Bagheri 2018)."""
    keys = part.case.keys
    pairs = part.run * keys + part.case.touches.key[part.touch]
    _, earliest = np.unique(pairs, return_index=True)
    run, key = np.divmod(pairs[np.sort(earliest)], keys)  # in the order of the path, like every other model
    counts = np.bincount(run, minlength=len(part.share))
    return _given(part, key, 1 / counts[run], np.cumsum(counts) - counts, counts)


def _markov(case: Case) -> Credits:
    """All sales that had touches, shared by the keys' removal effects (Anderl et al. 2016)."""
    found = Credits.empty(case.keys)
    touched = case.spans.count[case.shares.sale] > 0
    if not touched.any():
        return found
    share = markov_share(case, removal_effects(case))
    found.revenue += apportion(int((case.shares.amount * case.shares.sign)[touched].sum()), share)
    found.conversions += share * case.counts[touched].sum()
    found.newcomers += share * case.newcomers[touched].sum()
    return found


def markov_share(case: Case, effects: Floats) -> Floats:
    """What each key gets of what touched sales brought; nothing for "no touch"."""
    whole = effects.sum()
    return np.append(effects / whole, 0.0) if whole > 0 else _frequency(case)


def _frequency(case: Case) -> Floats:
    """Where nobody who was touched bought in the range, the touches themselves say what was there."""
    seen = np.bincount(case.touches.key, minlength=case.keys + 1).astype(np.float64)
    return np.asarray(seen / max(1.0, seen.sum()))


def removal_effects(case: Case) -> Floats:
    """For each key the part of all conversions that is lost when whoever would come to it goes away instead.

    A chain of first order over the paths of the range: start → keys → sale, or → nothing for touches after which there
    was no sale.
    """
    steps, begins, sells, ends = transitions(case, np.zeros(len(case.touches), dtype=np.int64), 1)
    effects: Floats = effects_of(steps, begins, sells, ends)[0]
    return effects


def effects_of(steps: Floats, begins: Floats, sells: Floats, ends: Floats) -> Floats:
    """The effects of one chain after another (along the first axis).

    Who comes to a key does so with the chance h = n / n₀, of the expected visits n from the start and n₀ from itself
    (Kemeny and Snell, Finite Markov Chains, 1960, sec. 3.5), and buys from there with the chance w; both out of
    (1 − Q)⁻¹. All that is bought is v; so h · w / v of it goes with the key.
    """
    keys = steps.shape[-1]
    out = steps.sum(axis=-1) + sells + ends
    safe = np.maximum(out, 1e-300)
    visits = np.linalg.inv(np.eye(keys) - steps / safe[..., None])
    begun = begins / np.maximum(begins.sum(axis=-1, keepdims=True), 1e-300)
    wins = np.einsum("gij,gj->gi", visits, sells / safe)
    comes = np.einsum("gi,gij->gj", begun, visits) / np.einsum("gii->gi", visits)
    whole = (begun * wins).sum(axis=-1, keepdims=True)
    effects = comes * wins / np.maximum(whole, 1e-300)
    return np.asarray(np.where((whole > 0) & (out > 0), np.clip(effects, 0.0, 1.0), 0.0))


def transitions(case: Case, group: Ints, groups: int) -> tuple[Floats, Floats, Floats, Floats]:
    """How often the paths go from key to key, begin at a key, end there in a sale, or in nothing; by the `group` of
    each touch's person.

    A path is a sale's touches; or touches in the range that no sale followed. A step that lies before several sales
    counts for each, which is the number of spans over it: no path is ever written out.
    """
    touches, keys, size = case.touches, case.keys, len(case.touches)
    place = group * keys + touches.key
    sale = case.shares.sale[case.counts > 0]
    low, high = case.spans.low[sale], case.spans.high[sale]
    low, high = low[high > low], high[high > low]
    covered = _over(low, high - 1, size)
    steps = np.bincount(place[:-1] * keys + touches.key[1:], covered[:-1], groups * keys * keys)
    begins = np.bincount(place[low], minlength=groups * keys)
    sells = np.bincount(place[high - 1], minlength=groups * keys)
    lost = _lost(case, _over(low, high, size), place, groups)
    by_key = (groups, keys)
    return (
        steps.reshape(groups, keys, keys) + lost[0],
        begins.reshape(by_key) + lost[1],
        sells.reshape(by_key).astype(np.float64),
        lost[2],
    )


def _over(low: Ints, high: Ints, size: int) -> Floats:
    """For each row how many of the spans [low, high) hold it."""
    change = np.bincount(low, minlength=size + 1) - np.bincount(high, minlength=size + 1)
    return np.cumsum(change)[:size].astype(np.float64)


def _lost(case: Case, held: Floats, place: Ints, groups: int) -> tuple[Floats, Floats, Floats]:
    """Steps, beginnings and ends of the paths that led to no sale: runs of touches of the range that no span holds."""
    keys, rows = case.keys, case.loose[held[case.loose] == 0]
    key, person, at = case.touches.key[rows], case.touches.person[rows], place[rows]
    goes_on = (person[1:] == person[:-1]) & (rows[1:] == rows[:-1] + 1)
    begins, ends = (np.append(True, ~goes_on)[: len(rows)], np.append(~goes_on, True)[: len(rows)])
    steps = np.bincount((at[:-1] * keys + key[1:])[goes_on], minlength=groups * keys * keys)
    return (
        steps.reshape(groups, keys, keys).astype(np.float64),
        np.bincount(at[begins], minlength=groups * keys).reshape(groups, keys).astype(np.float64),
        np.bincount(at[ends], minlength=groups * keys).reshape(groups, keys).astype(np.float64),
    )
