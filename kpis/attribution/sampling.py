"""How far other people would have moved the credits of a model (`explore/people_apart.py` says how). Pure.

The credits of rule models and of Shapley are sums over sales, so one run over keys that are told apart by group gives
them by group. Markov's are shares of all paths: its chain is taken apart by group and solved once without each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from kpis.attribution.models import Case, credits_of, effects_of, markov_share, transitions
from kpis.attribution.paths import Floats, Ints
from kpis.explore.people_apart import GROUPS, Estimate, groups_of, jackknife, shares, sums

CELLS: Final = 4_000_000
"""Of all chains that are solved together; with very many keys there are fewer groups."""
FEWEST_GROUPS: Final = 50


@dataclass(frozen=True, slots=True)
class Sampled:
    """A model's credits by key, the last being "no touch": the share of all conversions, and the revenue in minor
    units, each with its variance. `people` have a conversion in the range."""

    keys: tuple[str, ...]
    share: Estimate
    revenue: Estimate
    people: int


@dataclass(frozen=True)
class _Grouped:
    """The group of each touch and of each share of a sale; what the groups hold of conversions."""

    touch: Ints
    share: Ints
    groups: int
    people: int
    conversions: Floats

    @classmethod
    def of(cls, case: Case, seller: Ints, everybody: Ints, most: int) -> _Grouped:
        touch, groups = groups_of(case.touches.person, everybody, most)
        share, _ = groups_of(seller, everybody, most)
        conversions = np.bincount(share, case.counts, groups).astype(np.float64)
        return cls(touch, share, groups, len(everybody), conversions)


def sampled(model: str, case: Case, sellers: Ints, keys: tuple[str, ...]) -> Sampled:
    """`sellers`: the person of each sale."""
    seller = sellers[case.shares.sale]
    people = len(np.unique(seller[case.counts > 0]))
    if model == "markov":
        most = max(FEWEST_GROUPS, min(GROUPS, CELLS // max(1, case.keys**2)))
        grouped = _Grouped.of(case, seller, np.union1d(case.touches.person, seller), most)
        return Sampled(keys, *_of_chains(case, grouped), people)
    grouped = _Grouped.of(case, seller, np.unique(seller), GROUPS)
    return Sampled(keys, *_of_sales(model, case, grouped), people)


def _of_sales(model: str, case: Case, grouped: _Grouped) -> tuple[Estimate, Estimate]:
    wide = replace(
        case,
        touches=replace(case.touches, key=grouped.touch * case.keys + case.touches.key),
        keys=grouped.groups * case.keys,
    )
    found = credits_of(model, wide)
    alone_counts, alone_money = _alone(case, grouped)
    by_group = (grouped.groups, case.keys)
    counts = np.column_stack((found.conversions[:-1].reshape(by_group), alone_counts))
    money = np.column_stack((found.revenue[:-1].reshape(by_group).astype(np.float64), alone_money))
    whole = money.sum(axis=0)
    return shares(counts, grouped.conversions), sums(whole, whole - money, grouped.people)


def _alone(case: Case, grouped: _Grouped) -> tuple[Floats, Floats]:
    """By group: conversions and revenue that nothing came before."""
    return _summed(case, grouped, case.spans.count[case.shares.sale] == 0)


def _summed(case: Case, grouped: _Grouped, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[Floats, Floats]:
    group = grouped.share[chosen]
    money = (case.shares.amount * case.shares.sign)[chosen].astype(np.float64)
    counts = np.bincount(group, case.counts[chosen], grouped.groups)
    return counts.astype(np.float64), np.bincount(group, money, grouped.groups).astype(np.float64)


def _of_chains(case: Case, grouped: _Grouped) -> tuple[Estimate, Estimate]:
    alone_counts, alone_money = _alone(case, grouped)
    counts, money = _summed(case, grouped, case.spans.count[case.shares.sale] > 0)
    parts = transitions(case, grouped.touch, grouped.groups)
    whole = [part.sum(axis=0, keepdims=True) for part in parts]
    mine = markov_share(case, effects_of(*whole)[0])
    others = np.stack([markov_share(case, each) for each in effects_of(*_without(whole, parts))])
    last = np.zeros(case.keys + 1)
    last[-1] = 1.0
    conversions = grouped.conversions
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (mine * counts.sum() + last * alone_counts.sum()) / conversions.sum()
        left = others * _rest(counts) + last * _rest(alone_counts)
        share_left = left / _rest(conversions)
    revenue = mine * money.sum() + last * alone_money.sum()
    revenue_left = others * _rest(money) + last * _rest(alone_money)
    return jackknife(share, share_left), sums(revenue, revenue_left, grouped.people)


def _without(whole: list[Floats], parts: tuple[Floats, ...]) -> list[Floats]:
    return [every - part for every, part in zip(whole, parts, strict=True)]


def _rest(by_group: Floats) -> Floats:
    """What all groups but one hold, as a column."""
    rest: Floats = (by_group.sum() - by_group)[:, None]
    return rest
