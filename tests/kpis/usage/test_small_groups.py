"""Groups of fewer than five people are left out, and cannot be told by subtraction either."""

from __future__ import annotations

from kpis.usage.posts import PostImpact, Share
from kpis.usage.small import posts_for_strangers, too_small


def post(id_: str, reach: int, engaged: int, converted: int) -> PostImpact:
    share = Share(float(converted), 100 * converted)
    return PostImpact(
        "post", id_, "web", None, reach, engaged, engaged, converted, share, share, 50, 2.0, {"reach": 1.0}, False
    )


def test_a_small_group_takes_the_smallest_other_with_it() -> None:
    assert too_small([4, 20, 9, 0]) == {0, 2}
    assert too_small([5, 20, 0]) == frozenset()
    assert too_small([1, 2]) == {0, 1}


def test_posts_lose_only_what_is_about_few() -> None:
    big, mid, small = posts_for_strangers([post("a", 100, 40, 20), post("b", 50, 10, 6), post("c", 9, 3, 2)])
    assert (big.withheld, big.reach, big.converted) == ((), 100, 20)
    assert (mid.withheld, mid.reach, mid.engaged, mid.converted, mid.linear) == (
        ("engaged", "conversions"), 50, None, None, None,
    )  # fmt: skip
    assert (small.withheld, small.reach, small.engaged, small.last) == (("engaged", "conversions"), 9, None, None)
    assert small.return_on_cost is None
