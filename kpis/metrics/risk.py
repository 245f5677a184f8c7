"""Key risk indicators that are not about payments (their failure rate is with them)."""

from __future__ import annotations

from decimal import Decimal

from kpis.base import Additivity, Condition, Kind, Measure, Metric, Ratio, Thresholds, Unit, Value, register
from kpis.taxonomy import named

register(
    Measure(id="otp.sent", aggregate="count", events=named("otp_sent"), dimensions=("country", "method")),
    Measure(id="otp.failed", aggregate="count", events=named("otp_failed"), dimensions=("country", "method", "reason")),
    Measure(
        id="otp.checked",
        aggregate="count",
        events=named("otp_verified", "otp_failed"),
        dimensions=("country", "method"),
    ),
    Measure(id="hosts.cancelled", aggregate="count", events=named("event_cancelled"), dimensions=("country", "reason")),
    Measure(
        id="hosts.scheduled",
        aggregate="count",
        events=named("event_hosted", "event_cancelled"),
        dimensions=("country",),
    ),
    Measure(
        id="users.churn_risk",
        aggregate="moments",
        events=named("data_point"),
        where=(Condition("object_type", "eq", "metric"), Condition("object_id", "eq", "users.churn_risk_share")),
        field="value",
    ),
)


def count(id: str, name: str, words: str) -> Metric:
    return Metric(
        id=id,
        name=name,
        help=f"{name} in the period.",
        in_words=words,
        example="2 such events: 2",
        form=Value(id),
        better="down" if id.endswith(("failed", "cancelled")) else "up",
        additivity=Additivity.ADDITIVE,
    )


register(
    count("otp.sent", "One-time codes sent", "number of otp_sent events"),
    count("otp.failed", "One-time codes refused", "number of otp_failed events"),
    count("otp.checked", "One-time codes tried", "verified + failed"),
    Metric(
        id="otp.failure_rate",
        name="OTP failure rate",
        help="Of the one-time codes tried, the share that was wrong or too late.",
        in_words="otp_failed / (otp_verified + otp_failed)",
        example="3 verified, 1 failed: 0.25",
        form=Ratio("otp.failed", "otp.checked"),
        unit=Unit.RATIO,
        kind=Kind.KRI,
        better="down",
        thresholds=Thresholds(Decimal("0.1"), Decimal("0.25")),
        owner="risk",
    ),
    count("hosts.cancelled", "Events called off", "number of event_cancelled events"),
    count("hosts.scheduled", "Events that were to take place", "event_hosted + event_cancelled"),
    Metric(
        id="hosts.cancellation_rate",
        name="Host cancellation rate",
        help="Of the events that came to their day or were called off, the share called off.",
        in_words="event_cancelled / (event_hosted + event_cancelled)",
        example="9 hosted, 1 cancelled: 0.1",
        form=Ratio("hosts.cancelled", "hosts.scheduled"),
        unit=Unit.RATIO,
        kind=Kind.KRI,
        better="down",
        thresholds=Thresholds(Decimal("0.05"), Decimal("0.15")),
        owner="risk",
    ),
    Metric(
        id="users.churn_risk_share",
        name="Users at risk of leaving",
        help="The share of users above 70 % churn risk, as a model publishes it from time to time. A data point: it is "
        "not counted from events, and a period shows the mean of what was published in it.",
        in_words="mean of the published values",
        example="0.10 in the morning, 0.14 in the evening: 0.12",
        form=Value("users.churn_risk", "mean"),
        unit=Unit.RATIO,
        kind=Kind.KRI,
        better="down",
        thresholds=Thresholds(Decimal("0.15"), Decimal("0.3")),
        owner="insights",
    ),
)
