"""What is left out where a group is so small that a figure is about somebody (S36). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kpis.groups import SMALLEST
from kpis.usage.association import Correlation
from kpis.usage.features import FeatureUse
from kpis.usage.posts import PostImpact

WITHHELD = Correlation(None, 0, note=f"left out: fewer than {SMALLEST} people")


def too_small(counts: Sequence[int], least: int = SMALLEST) -> frozenset[int]:
    """Which rows are not to be shown: small ones, and the smallest of the others too, else subtraction tells them."""
    hidden = {index for index, count in enumerate(counts) if 0 < count < least}
    rest = [index for index, count in enumerate(counts) if count >= least]
    if hidden and rest:
        hidden.add(min(rest, key=lambda index: (counts[index], index)))
    return frozenset(hidden)


def posts_for_strangers(posts: Sequence[PostImpact]) -> list[PostImpact]:
    """Posts without what is known of fewer than five people."""
    reach = too_small([post.reach or 0 for post in posts])
    engaged = reach | too_small([post.engaged or 0 for post in posts])
    converted = too_small([post.converted or 0 for post in posts])
    return [_post(post, index in reach, index in engaged, index in converted) for index, post in enumerate(posts)]


def _post(post: PostImpact, no_reach: bool, no_engaged: bool, no_sales: bool) -> PostImpact:
    against = dict(post.against)
    if no_reach:
        post, against = replace(post, reach=None), {**against, "reach": None}
    if no_engaged:
        post = replace(post, engaged=None)
    if no_sales:
        post = replace(post, converted=None, last=None, linear=None, return_on_cost=None)
        against = {**against, "revenue": None}
    names = (("reach", no_reach), ("engaged", no_engaged), ("conversions", no_sales))
    return replace(post, against=against, withheld=tuple(name for name, is_hidden in names if is_hidden))


def features_for_strangers(features: Sequence[FeatureUse], everybody: int) -> list[FeatureUse]:
    """Features without the money, the payers and the returns of fewer than five people, on either side."""
    return [
        replace(
            feature,
            again=0,
            settled=0,
            again_share=None,
            days_between=None,
            revenue_per_user=None,
            revenue_per_other=None,
            payer_share=None,
            payer_share_of_others=None,
            with_revenue=WITHHELD,
            with_paying=WITHHELD,
        )
        if _is_small(feature, everybody)
        else feature
        for feature in features
    ]


def _is_small(feature: FeatureUse, everybody: int) -> bool:
    sides = [(feature.users, feature.payer_share or 0.0)]
    sides.append((everybody - feature.users, feature.payer_share_of_others or 0.0))
    return any(0 < people < SMALLEST or 0 < round(people * share) < SMALLEST for people, share in sides)
