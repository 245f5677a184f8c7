"""Payments: how many, how much, how fast, how many fail. A payment is no revenue: the sale it pays for is."""

from __future__ import annotations

from decimal import Decimal

from kpis.base import Additivity, Kind, Measure, Metric, Ratio, Thresholds, Unit, Value, register
from kpis.taxonomy import named

BY = ("method", "country", "platform")
STATUSES = ("created", "verifying", "verified", "pending", "settled", "failed", "expired", "refunded")
FINISHED = named("payment_settled", "payment_failed", "payment_expired")
SETTLED = named("payment_settled")


def status_count(status: str) -> Metric:
    return Metric(
        id=f"payments.{status}",
        name=f"Payments {status}",
        help=f"Payments that became {status} in the period, whatever became of them later.",
        in_words=f"number of payment_{status} events",
        example="2 such events: 2",
        form=Value(f"payments.{status}"),
        better="down" if status in ("failed", "expired", "refunded") else "up",
        owner="payments",
        additivity=Additivity.ADDITIVE,
    )


def latency(name: str, title: str, value: Value, words: str) -> Metric:
    return Metric(
        id=f"payments.latency_{name}",
        name=f"Processing time, {title}",
        help=f"{words} of the time from a payment's creation to its settlement.",
        in_words=f"{title} of duration_ms of settled payments",
        example="times of 1 s and 3 s have a mean of 2 s (2,000 ms)",
        form=value,
        unit=Unit.DURATION,
        better="down",
        owner="payments",
    )


register(
    *(
        Measure(
            id=f"payments.{status}",
            aggregate="count",
            events=named(f"payment_{status}"),
            dimensions=(*BY, "reason") if status == "failed" else BY,
        )
        for status in STATUSES
    ),
    Measure(id="payments.finished", aggregate="count", events=FINISHED, dimensions=BY),
    Measure(id="payments.volume", aggregate="total", events=SETTLED, field="amount_base", dimensions=BY),
    Measure(id="payments.latency", aggregate="moments", events=SETTLED, field="duration_ms", dimensions=("method",)),
    Measure(
        id="payments.latency_spread", aggregate="quantiles", events=SETTLED, field="duration_ms", dimensions=("method",)
    ),
    Measure(id="payments.payers", aggregate="distinct", events=SETTLED, dimensions=("method", "country")),
)

register(
    *(status_count(status) for status in STATUSES),
    Metric(
        id="payments.finished",
        name="Payments finished",
        help="Payments that came to an end: settled, failed or expired.",
        in_words="settled + failed + expired",
        example="8 settled, 1 failed, 1 expired: 10",
        form=Value("payments.finished"),
        owner="payments",
        additivity=Additivity.ADDITIVE,
    ),
    Metric(
        id="payments.volume",
        name="Payment volume",
        help="Money settled.",
        in_words="sum of the amounts of settled payments",
        example="payments of 20.00 and 5.50 settled, one of 7.00 failed: 25.50",
        form=Value("payments.volume"),
        unit=Unit.MONEY,
        owner="payments",
        additivity=Additivity.ADDITIVE,
    ),
    Metric(
        id="payments.average_value",
        name="Average transaction value",
        help="What one settled payment is worth; payments that failed are in neither number.",
        in_words="payment volume / payments settled",
        example="25.50 / 2 = 12.75",
        form=Ratio("payments.volume", "payments.settled"),
        unit=Unit.MONEY,
        owner="payments",
    ),
    Metric(
        id="payments.success_rate",
        name="Payment success rate",
        help="Of the payments that came to an end in the period, the share that was settled.",
        in_words="settled / (settled + failed + expired)",
        example="8 of 10: 0.8",
        form=Ratio("payments.settled", "payments.finished"),
        unit=Unit.RATIO,
        thresholds=Thresholds(Decimal("0.95"), Decimal("0.9")),
        owner="payments",
    ),
    latency("mean", "mean", Value("payments.latency", "mean"), "The mean"),
    latency("median", "median", Value("payments.latency_spread", "quantile", 0.5), "The middle"),
    latency("p95", "95th percentile", Value("payments.latency_spread", "quantile", 0.95), "The 95th percentile"),
    latency("p99", "99th percentile", Value("payments.latency_spread", "quantile", 0.99), "The 99th percentile"),
    Metric(
        id="payments.unique_payers",
        name="Unique payers",
        help="Different people with a settled payment.",
        in_words="distinct persons with a settled payment",
        example="Ann pays twice, Bob once: 2",
        form=Value("payments.payers"),
        owner="payments",
        additivity=Additivity.UNION,
    ),
    Metric(
        id="payments.failure_rate",
        name="Payment failure rate",
        help="Of the payments that came to an end in the period, the share that was refused.",
        in_words="failed / (settled + failed + expired)",
        example="1 of 10: 0.1",
        form=Ratio("payments.failed", "payments.finished"),
        unit=Unit.RATIO,
        kind=Kind.KRI,
        better="down",
        thresholds=Thresholds(Decimal("0.05"), Decimal("0.1")),
        owner="payments",
    ),
)
