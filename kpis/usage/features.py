"""Which features are used, by how many, how often, whether again, and what that goes along with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from kpis.contracts import OTHER
from kpis.usage.association import Correlation, of_group

Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

AGAIN_DAYS: Final = 7
"""Within so many local days after the first use a later use counts as coming back."""


@dataclass(frozen=True)
class Uses:
    """How often a person used a feature on a local day (a number, ascending in time). `feature` numbers the names."""

    person: Ints
    feature: Ints
    day: Ints
    count: Ints


@dataclass(frozen=True)
class People:
    """Everybody active in the range, by number, each once: net revenue in minor units, and whether they bought."""

    person: Ints
    revenue: Ints
    is_payer: Flags


@dataclass(frozen=True, slots=True)
class FeatureUse:
    """One feature over the range. Money is minor units of the base currency.

    `share` is of everybody active. `again` of the `settled` users (those whose seven days after the first use are over)
    used it on a later day within them; `days_between` is the median of the days until then.
    """

    feature: str
    users: int
    uses: int
    share: float | None
    uses_per_user: float
    settled: int
    again: int
    again_share: float | None
    days_between: float | None
    revenue_per_user: float | None
    revenue_per_other: float | None
    payer_share: float | None
    payer_share_of_others: float | None
    with_revenue: Correlation
    with_paying: Correlation


@dataclass(frozen=True, slots=True)
class Span:
    """Days of a range: uses before `end` are in it, those from `end` on only tell who came again; what lies from
    `known` on is not known."""

    end: int
    known: int


def features_used(uses: Uses, names: Sequence[str], people: People, span: Span, *, limit: int) -> list[FeatureUse]:
    """The `limit` features with most users, the others together as OTHER at the end."""
    inside = uses.day < span.end
    pairs = np.unique(np.stack([uses.feature[inside], uses.person[inside]]), axis=1)
    users = np.bincount(pairs[0], minlength=len(names))
    ranked = sorted((index for index in range(len(names)) if users[index]), key=lambda i: (-users[i], names[i]))
    found = [_one(_of(uses, np.array([index])), names[index], people, span) for index in ranked[:limit]]
    if len(ranked) > limit:
        found.append(_one(_of(uses, np.array(ranked[limit:])), OTHER, people, span))
    return found


def _of(uses: Uses, features: Ints) -> Uses:
    mine = np.isin(uses.feature, features)
    return Uses(uses.person[mine], uses.feature[mine], uses.day[mine], uses.count[mine])


def _one(uses: Uses, name: str, people: People, span: Span) -> FeatureUse:
    inside = uses.day < span.end
    users = np.unique(uses.person[inside])
    count, everybody = len(users), len(people.person)
    is_user = np.isin(people.person, users)
    spent, bought = int(people.revenue[is_user].sum()), int(people.is_payer[is_user].sum())
    total, payers = int(people.revenue.sum()), int(people.is_payer.sum())
    others = everybody - count
    settled, gaps = _again(uses, users, span)
    return FeatureUse(
        feature=name,
        users=count,
        uses=int(uses.count[inside].sum()),
        share=count / everybody if everybody else None,
        uses_per_user=int(uses.count[inside].sum()) / count,
        settled=settled,
        again=len(gaps),
        again_share=len(gaps) / settled if settled else None,
        days_between=float(np.median(gaps)) if len(gaps) else None,
        revenue_per_user=spent / count,
        revenue_per_other=(total - spent) / others if others > 0 else None,
        payer_share=bought / count,
        payer_share_of_others=(payers - bought) / others if others > 0 else None,
        with_revenue=of_group(
            n=everybody,
            members=int(is_user.sum()),
            total=total,
            squares=sum(amount * amount for amount in people.revenue[people.revenue != 0].tolist()),
            members_total=spent,
        ),
        with_paying=of_group(
            n=everybody, members=int(is_user.sum()), total=payers, squares=payers, members_total=bought
        ),
    )


def _again(uses: Uses, users: Ints, span: Span) -> tuple[int, Ints]:
    """How many users' seven days are over, and for those who came again on a later day of them, after how many."""
    if not len(users):
        return 0, np.empty(0, dtype=np.int64)
    place = np.searchsorted(users, uses.person)
    place = np.minimum(place, len(users) - 1)
    mine = users[place] == uses.person
    place, day = place[mine], uses.day[mine]
    first = np.full(len(users), np.iinfo(np.int64).max)
    np.minimum.at(first, place, day)
    later = day > first[place]
    second = np.full(len(users), np.iinfo(np.int64).max)
    np.minimum.at(second, place[later], day[later])
    settled = first + AGAIN_DAYS < span.known
    came = settled & (second <= first + AGAIN_DAYS)
    return int(settled.sum()), (second - first)[came]
