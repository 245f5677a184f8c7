"""The pages by area: which metrics each shows, as tiles, charts and breakdowns. A new card is a new name in a list.

`manage.py check` fails on a metric or dimension that does not exist (`reports/checks.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A page: `tables` are (metric, dimension); `platforms` lets the page be narrowed to one platform by tabs."""

    title: str
    intro: str
    tiles: tuple[str, ...]
    charts: tuple[str, ...] = ()
    tables: tuple[tuple[str, str], ...] = ()
    has_platforms: bool = False


OVERVIEW: Final = Area(
    title="Overview",
    intro="How the business is doing.",
    tiles=(
        "revenue.gross",
        "revenue.net",
        "orders.count",
        "revenue.aov",
        "users.paying",
        "revenue.arppu",
        "users.active",
        "users.mau",
        "users.stickiness",
        "sessions.count",
        "users.signups",
        "payments.success_rate",
    ),
    charts=("revenue.gross", "users.active", "orders.count", "payments.success_rate"),
)

AREAS: Final[dict[str, Area]] = {
    "revenue": Area(
        title="Revenue",
        intro="What was sold, what came back, and who paid.",
        tiles=(
            "revenue.gross",
            "revenue.net",
            "revenue.refunds",
            "revenue.refund_rate",
            "orders.count",
            "revenue.aov",
            "revenue.arpu",
            "revenue.arppu",
        ),
        charts=("revenue.gross", "orders.count", "revenue.aov", "revenue.refunds"),
        tables=(("revenue.gross", "country"), ("revenue.gross", "platform"), ("revenue.gross", "channel")),
    ),
    "engagement": Area(
        title="Engagement",
        intro="Who comes, how often, and for how long.",
        tiles=(
            "users.active",
            "users.wau",
            "users.mau",
            "users.stickiness",
            "sessions.count",
            "sessions.mean_duration",
            "sessions.bounce_rate",
            "pageviews.count",
        ),
        charts=("users.active", "sessions.count", "users.stickiness", "sessions.mean_duration"),
        tables=(("users.active", "country"), ("sessions.count", "platform")),
    ),
    "monetisation": Area(
        title="Monetisation",
        intro="How use turns into money.",
        tiles=("users.paying", "users.payer_rate", "revenue.arpu", "revenue.arppu", "revenue.gifts", "topups.volume"),
        charts=("users.paying", "revenue.arppu"),
        tables=(("topups.count", "method"),),
    ),
    "product": Area(
        title="Product",
        intro="From the first visit to the habit.",
        tiles=(
            "users.signups",
            "users.new",
            "users.returning",
            "retention.day_1",
            "retention.day_7",
            "retention.day_30",
        ),
        charts=("users.new", "retention.day_7"),
        tables=(("users.signups", "country"), ("users.signups", "campaign")),
    ),
    "risk": Area(
        title="Risk",
        intro="What may go wrong, and how near it is.",
        tiles=("payments.failure_rate", "otp.failure_rate", "hosts.cancellation_rate", "users.churn_risk_share"),
        charts=("payments.failure_rate", "otp.failure_rate"),
    ),
    "payments": Area(
        title="Payments",
        intro="Whether money arrives, how fast, and why it does not.",
        tiles=(
            "payments.volume",
            "payments.settled",
            "payments.failed",
            "payments.success_rate",
            "payments.average_value",
            "payments.unique_payers",
        ),
        charts=("payments.volume", "payments.success_rate"),
        tables=(("payments.volume", "method"), ("payments.settled", "country")),
    ),
}
