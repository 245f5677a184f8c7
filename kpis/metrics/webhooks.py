"""Deliveries of webhooks; `content_type` is the type of event that they tell of."""

from __future__ import annotations

from kpis.base import Formula, Measure, Metric, Unit, Value, register
from kpis.metrics.shapes import Family
from kpis.taxonomy import named

webhooks = Family(owner="platform", by=("content_type",))

webhooks.counted("webhooks.queued", "Webhooks queued", "Deliveries that were ordered.", "webhook_queued")
webhooks.counted("webhooks.delivered", "Webhooks delivered", "Deliveries that arrived.", "webhook_delivered")
webhooks.counted(
    "webhooks.failed",
    "Webhooks failed",
    "Deliveries given up or refused for good.",
    "webhook_failed",
    by=("content_type", "reason"),
    better="down",
)
webhooks.counted(
    "webhooks.finished",
    "Webhooks finished",
    "Deliveries that came to an end: delivered or failed.",
    "webhook_delivered",
    "webhook_failed",
)
register(
    Metric(
        id="webhooks.total",
        name="Webhook deliveries",
        help="All deliveries of the period. Where nobody tells of queueing, those that came to an end.",
        in_words="queued, or delivered + failed where that is more",
        example="10 queued, 7 delivered, 1 failed: 10",
        form=Formula("max(webhooks.queued, webhooks.delivered + webhooks.failed)"),
        owner="platform",
    ),
    Metric(
        id="webhooks.pending",
        name="Webhooks pending",
        help="Queued in the period and not come to an end in it. What waits at this moment: `GET webhooks/metrics/`.",
        in_words="queued - delivered - failed, at least 0",
        example="10 queued, 7 delivered, 1 failed: 2",
        form=Formula("max(0, webhooks.queued - webhooks.delivered - webhooks.failed)"),
        better="down",
        owner="platform",
    ),
)
webhooks.ratio(
    "webhooks.success_rate",
    "Webhook success rate",
    "Of the deliveries that came to an end, the share that arrived.",
    "webhooks.delivered",
    "webhooks.finished",
    in_words="delivered / (delivered + failed)",
    example="7 of 8: 0.875",
    limits=("0.97", "0.9"),
)
webhooks.averaged(
    "webhooks.mean_time",
    "Mean delivery time",
    "From the first try to the receiver's answer, on average, of deliveries that arrived.",
    "webhook_delivered",
    better="down",
    example="100 ms and 300 ms: 200 ms",
)
register(
    Measure(
        id="webhooks.time_spread",
        aggregate="quantiles",
        events=named("webhook_delivered"),
        field="duration_ms",
        dimensions=("content_type",),
    ),
    Metric(
        id="webhooks.p95_time",
        name="Delivery time, 95th percentile",
        help="95 of 100 deliveries that arrived took no longer.",
        in_words="95th percentile of `duration_ms` of webhook_delivered",
        example="of 100 to 10,000 ms in steps of 100: about 9,505 ms",
        form=Value("webhooks.time_spread", "quantile", 0.95),
        unit=Unit.DURATION,
        better="down",
        owner="platform",
    ),
)
