"""What each post and campaign was followed by: reach, engagement, and the sales of those engaged. Pure.

A touch is a reaction to a post by somebody known. Sales within a window after it are shared by the models of
attribution: the last touch takes all, or all touches alike. That a sale followed does not say the post made it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from kpis.attribution.models import Case, credits_of
from kpis.attribution.paths import Sales, Shares, Touches, spans_of
from kpis.contracts import OTHER

Ints: TypeAlias = npt.NDArray[np.int64]

MODELS: Final = ("last", "linear")
SEEN, ENGAGED = 0, 1
COMPARED: Final = ("reach", "engagements", "revenue")


@dataclass(frozen=True)
class Reactions:
    """By (person, time): who saw (0) or reacted to (1) which post, when, in microseconds. `post` numbers the posts."""

    person: Ints
    ts: Ints
    post: Ints
    role: Ints


@dataclass(frozen=True, slots=True)
class Post:
    """What is known of a post without its people. `engagements` of the range; `cost` in minor units, null for none."""

    kind: str
    id: str
    platform: str = ""
    published_at: int | None = None
    engagements: int = 0
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What a model gives a post: sales (in parts) and minor units."""

    conversions: float
    revenue: int


@dataclass(frozen=True, slots=True)
class PostImpact:
    """One post. `reach` counts people with any event on it in the range, `engaged` those who reacted to it.

    `converted` of the people engaged bought within the window after. `against` holds reach, engagements and revenue
    (linear) as multiples of the mean post of the platform, null where the platform has no other. `is_open`: the window
    of its last reaction is not over. `withheld` names what was left out for the smallness of its group.
    """

    kind: str
    id: str
    platform: str
    published_at: int | None
    reach: int | None
    engagements: int
    engaged: int | None
    converted: int | None
    last: Share | None
    linear: Share | None
    cost: int | None
    return_on_cost: float | None
    against: Mapping[str, float | None]
    is_open: bool
    posts: int = 1
    withheld: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Impact:
    """All posts of the range. `conversions` and `revenue` of all sales; `untouched` of those no post came before."""

    posts: tuple[PostImpact, ...]
    conversions: int
    revenue: int
    untouched: Share


@dataclass(frozen=True, slots=True)
class Frame:
    """Microseconds: the range, the window after a reaction, and up to when everything is known."""

    start: int
    end: int
    window: int
    known: int


def impact_of(
    posts: Sequence[Post], reactions: Reactions, sales: Sales, shares: Shares, frame: Frame, *, limit: int
) -> Impact:
    """Posts ranked by revenue (linear), engagements and name; those beyond `limit` together as OTHER at the end."""
    is_touch = reactions.role == ENGAGED
    touches = Touches(
        reactions.person[is_touch],
        reactions.ts[is_touch],
        reactions.post[is_touch],
        np.zeros(int(is_touch.sum()), dtype=np.bool_),
        np.zeros(int(is_touch.sum()), dtype=np.bool_),
    )
    spans = spans_of(touches, sales, frame.window)
    is_sale = np.arange(len(shares.sale)) < int(sales.is_in_range.sum())
    case = Case(
        touches, spans, shares, is_sale.astype(np.float64), np.zeros(len(shares.sale)), len(posts), sales.ts, 1.0
    )
    found = {model: credits_of(model, case) for model in MODELS}
    told = {
        model: [
            Share(round(float(count), 9), int(money))
            for count, money in zip(credits.conversions, credits.revenue, strict=True)
        ]
        for model, credits in found.items()
    }
    groups = _Groups(posts, reactions, touches, sales, spans.low, spans.high, frame)
    rows = [_row(post, groups, [index], told["last"][index], told["linear"][index]) for index, post in enumerate(posts)]
    kept = [index for index, row in enumerate(rows) if row.reach or row.engagements or row.linear != Share(0.0, 0)]
    rows = _compared([rows[index] for index in kept])
    order = sorted(range(len(rows)), key=lambda i: _rank(rows[i]))
    shown = [rows[index] for index in order[:limit]]
    if len(order) > limit:
        shown.append(_together([kept[index] for index in order[limit:]], posts, groups, told))
    return Impact(
        posts=tuple(shown),
        conversions=int(sales.is_in_range.sum()),
        revenue=int((shares.amount * shares.sign).sum()),
        untouched=told["linear"][-1],
    )


class _Groups:
    """How many people are behind one post, or behind some together. Each is a list of different (post, person)."""

    def __init__(
        self, posts: Sequence[Post], reactions: Reactions, touches: Touches, sales: Sales, low: Ints, high: Ints,
        frame: Frame,
    ) -> None:  # fmt: skip
        self._frame, size = frame, len(posts)
        inside = (reactions.ts >= frame.start) & (reactions.ts < frame.end)
        engaged = inside & (reactions.role == ENGAGED)
        mine = np.flatnonzero(sales.is_in_range & (high > low))
        counts = (high - low)[mine]
        run = np.repeat(np.arange(len(mine)), counts)
        touch = low[mine][run] + np.arange(len(run)) - (np.cumsum(counts) - counts)[run]
        self._reach = _Pairs.of(reactions.post[inside], reactions.person[inside], size)
        self._engaged = _Pairs.of(reactions.post[engaged], reactions.person[engaged], size)
        self._buyers = _Pairs.of(touches.key[touch], sales.person[mine][run], size)
        self._latest = np.full(size, np.iinfo(np.int64).min)
        np.maximum.at(self._latest, touches.key, touches.ts)

    def reach(self, posts: Sequence[int]) -> int:
        return self._reach.people(posts)

    def engaged(self, posts: Sequence[int]) -> int:
        return self._engaged.people(posts)

    def converted(self, posts: Sequence[int]) -> int:
        return self._buyers.people(posts)

    def is_open(self, posts: Sequence[int]) -> bool:
        return int(self._latest[list(posts)].max()) > self._frame.known - self._frame.window


@dataclass(frozen=True)
class _Pairs:
    """Different (post, person), and how many there are of each post."""

    post: Ints
    person: Ints
    sizes: Ints

    @classmethod
    def of(cls, post: Ints, person: Ints, size: int) -> _Pairs:
        order = np.lexsort((person, post))
        post, person = post[order], person[order]
        kept = np.append(True, (post[1:] != post[:-1]) | (person[1:] != person[:-1]))[: len(post)]
        return cls(post[kept], person[kept], np.bincount(post[kept], minlength=size))

    def people(self, posts: Sequence[int]) -> int:
        if len(posts) == 1:
            return int(self.sizes[posts[0]])
        return len(np.unique(self.person[np.isin(self.post, posts)]))


def _row(post: Post, groups: _Groups, indices: Sequence[int], last: Share, linear: Share) -> PostImpact:
    return PostImpact(
        kind=post.kind,
        id=post.id,
        platform=post.platform,
        published_at=post.published_at,
        reach=groups.reach(indices),
        engagements=post.engagements,
        engaged=groups.engaged(indices),
        converted=groups.converted(indices),
        last=last,
        linear=linear,
        cost=post.cost,
        return_on_cost=linear.revenue / post.cost if post.cost else None,
        against={},
        is_open=groups.is_open(indices),
        posts=len(indices),
    )


def _together(
    indices: Sequence[int], posts: Sequence[Post], groups: _Groups, told: Mapping[str, Sequence[Share]]
) -> PostImpact:
    costs = [posts[index].cost for index in indices]
    known = [cost for cost in costs if cost is not None]
    rest = Post(OTHER, OTHER, engagements=sum(posts[index].engagements for index in indices))
    # The cost of some is not the cost of all.
    rest = replace(rest, cost=sum(known) if len(known) == len(costs) else None)
    last, linear = (_sum(told[model], indices) for model in MODELS)
    return replace(_row(rest, groups, indices, last, linear), against=dict.fromkeys(COMPARED))


def _sum(shares: Sequence[Share], indices: Sequence[int]) -> Share:
    return Share(
        round(sum(shares[index].conversions for index in indices), 9), sum(shares[index].revenue for index in indices)
    )


def _amount(row: PostImpact, what: str) -> int:
    if what == "revenue":
        return row.linear.revenue if row.linear else 0
    return int(getattr(row, what) or 0)


def _compared(rows: Sequence[PostImpact]) -> list[PostImpact]:
    by_platform: dict[tuple[str, str], list[PostImpact]] = defaultdict(list)
    for row in rows:
        by_platform[row.kind, row.platform].append(row)
    means = {
        key: {what: sum(_amount(row, what) for row in found) / len(found) for what in COMPARED}
        for key, found in by_platform.items()
        if len(found) > 1
    }
    return [replace(row, against=_against_all(row, means.get((row.kind, row.platform)))) for row in rows]


def _against_all(row: PostImpact, means: Mapping[str, float] | None) -> dict[str, float | None]:
    return {what: _against(_amount(row, what), means, what) for what in COMPARED}


def _against(amount: int, means: Mapping[str, float] | None, what: str) -> float | None:
    return amount / means[what] if means and means[what] > 0 else None


def _rank(row: PostImpact) -> tuple[int, int, str, str]:
    return -_amount(row, "revenue"), -row.engagements, row.kind, row.id
