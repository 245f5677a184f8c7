"""Key results: what was promised. Targets, pace and the chance of reaching them are goals, not metrics."""

from __future__ import annotations

from kpis.base import Growth, Kind, Metric, Share, Unit, register
from kpis.metrics.shapes import Family, thresholds

product = Family(owner="product", by=("country", "platform"))

product.counted(
    "creation.count",
    "Things made",
    "Events announced, listings and content made.",
    "event_created",
    "listing_created",
    "content_created",
    by=("name", "content_type", "country"),
)
register(
    Metric(
        id="creation.growth",
        name="Creation growth",
        help="How much more is made than in the period before, over equal elapsed time; read by month it is the "
        "monthly creation growth.",
        in_words="(things made - things made in the period before) / things made in the period before",
        example="12 this month, 10 last month: 0.2",
        form=Growth("creation.count"),
        unit=Unit.RATIO,
        kind=Kind.KR,
        thresholds=thresholds(("0", "-0.2")),
    ),
)
product.people("purchases.starters", "People at the checkout", "Different people who began to pay.", "checkout_started")
product.people("purchases.buyers", "People who bought", "Different people who completed an order.", "order_completed")
product.share(
    "purchases.success_ratio",
    "Purchase success ratio",
    "Of the people who began to pay, the share that completed an order in the period. Somebody who tries three "
    "times and buys in the end succeeded.",
    Share("purchases.buyers", "purchases.starters"),
    in_words="persons with both events / persons with checkout_started",
    example="4 begin to pay, 3 of them buy: 0.75",
    kind=Kind.KR,
    limits=("0.6", "0.4"),
)
product.people(
    "verification.started",
    "People asked to verify",
    "Different people who were sent a one-time code or began a verification.",
    "otp_sent",
    "verification_started",
)
product.people(
    "verification.completed",
    "People verified",
    "Different people whose one-time code was right or whose verification was completed.",
    "otp_verified",
    "verification_completed",
)
product.share(
    "verification.completion",
    "Verification completion",
    "Of the people asked to verify, the share that was verified in the period.",
    Share("verification.completed", "verification.started"),
    in_words="persons verified / persons asked",
    example="4 asked, 3 of them verified: 0.75",
    kind=Kind.KR,
    limits=("0.9", "0.75"),
)
