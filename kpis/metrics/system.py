"""The system itself: requests that the middleware recorded, the health a job publishes each minute, jobs that make
content, and any other number that somebody publishes.
"""

from __future__ import annotations

from decimal import Decimal

from kpis.base import Additivity, Condition, Kind, Measure, Metric, PerMinute, Thresholds, Unit, Value, register
from kpis.metrics.shapes import Better, Family
from kpis.taxonomy import named

REQUESTS = named("request_completed", "page_view")
ROUTE = "properties.path"
TIMED = Condition("duration_ms", "is_null", False)  # pages that a browser told of have no time
FAULT = Condition("properties.status", "gt", 499)
POINTS = named("data_point")
IS_METRIC = Condition("object_type", "eq", "metric")

system = Family(owner="platform", by=())


def response(name: str, title: str, value: Value, *limits: str) -> Metric:
    return Metric(
        id=f"system.response_{name}",
        name=f"Response time, {title}",
        help=f"The {title} of the time that requests took, pages and API calls together; by `{ROUTE}` it shows slow "
        "routes.",
        in_words=f"{title} of `duration_ms` of requests",
        example="requests of 100 and 300 ms have a mean of 200 ms",
        form=value,
        unit=Unit.DURATION,
        better="down",
        thresholds=Thresholds(*map(Decimal, limits)),
        owner="platform",
    )


register(
    Measure(
        id="system.requests",
        aggregate="count",
        events=REQUESTS,
        where=(TIMED,),
        dimensions=(ROUTE, "properties.http_method", "platform"),
    ),
    Measure(id="system.errors", aggregate="count", events=REQUESTS, where=(TIMED, FAULT), dimensions=(ROUTE,)),
    Measure(id="system.response", aggregate="moments", events=REQUESTS, field="duration_ms", dimensions=(ROUTE,)),
    Measure(
        id="system.response_spread", aggregate="quantiles", events=REQUESTS, field="duration_ms", dimensions=(ROUTE,)
    ),
)
register(
    Metric(
        id="system.requests",
        name="Requests",
        help="Requests that the middleware recorded, pages and API calls. With a sample rate below 1, of the sample.",
        in_words="number of request_completed and page_view events that have `duration_ms`",
        example="2 pages and 3 API calls: 5",
        form=Value("system.requests"),
        owner="platform",
        additivity=Additivity.ADDITIVE,
    ),
    Metric(
        id="system.errors",
        name="Server errors",
        help="Requests answered with a status of 500 or more.",
        in_words="number of requests with status 500 or more",
        example="statuses 200, 404 and 503: 1",
        form=Value("system.errors"),
        better="down",
        owner="platform",
        additivity=Additivity.ADDITIVE,
    ),
    Metric(
        id="system.throughput",
        name="Requests a minute",
        help="Requests for each minute of the period that has passed.",
        in_words="requests / minutes",
        example="2,880 requests in a day: 2",
        form=PerMinute("system.requests"),
        unit=Unit.NUMBER,
        owner="platform",
    ),
    response("mean", "mean", Value("system.response", "mean"), "300", "1000"),
    response("median", "median", Value("system.response_spread", "quantile", 0.5)),
    response("p95", "95th percentile", Value("system.response_spread", "quantile", 0.95), "1000", "3000"),
    response("p99", "99th percentile", Value("system.response_spread", "quantile", 0.99)),
)
system.ratio(
    "system.error_rate",
    "Error rate",
    "The share of requests answered with a status of 500 or more.",
    "system.errors",
    "system.requests",
    in_words="server errors / requests",
    example="1 of 100: 0.01",
    better="down",
    kind=Kind.KRI,
    limits=("0.01", "0.05"),
)


def point(id: str, published: str, aggregate: str, field: str = "value") -> Measure:
    """The numbers published under a name."""
    return Measure(
        id=id,
        aggregate=aggregate,  # type: ignore[arg-type]
        events=POINTS,
        where=(IS_METRIC, Condition("object_id", "eq", published)),
        field=field,
    )


def gauge(
    id: str,
    name: str,
    what: str,
    value: Value,
    in_words: str,
    example: str,
    *limits: str,
    unit: Unit = Unit.RATIO,
    better: Better = "down",
    additivity: Additivity = Additivity.NONE,
) -> Metric:
    return Metric(
        id=id,
        name=name,
        help=f"{what} Published each minute by the platform's job into the tenant that ANALYTICS_TENANT names.",
        in_words=in_words,
        example=example,
        form=value,
        unit=unit,
        better=better,
        thresholds=Thresholds(*map(Decimal, limits)),
        owner="platform",
        additivity=additivity,
    )


register(
    point("system.cpu", "system.cpu", "moments"),
    point("system.memory", "system.memory", "moments"),
    point("system.queue", "system.queue_depth", "moments"),
    point("system.queue_extremes", "system.queue_depth", "extremes"),
    point("system.up_time", "system.heartbeat", "total"),
    point("system.observed_time", "system.heartbeat", "total", field="duration_ms"),
)
register(
    gauge(
        "system.cpu",
        "CPU in use",
        "The share of all processor time that was used, on average.",
        Value("system.cpu", "mean"),
        "mean of the published values",
        "0.2 and 0.4: 0.3",
        "0.8",
        "0.95",
    ),
    gauge(
        "system.memory",
        "Memory in use",
        "The share of the machine's memory that was in use, on average.",
        Value("system.memory", "mean"),
        "mean of the published values",
        "0.5 and 0.7: 0.6",
        "0.85",
        "0.95",
    ),
    gauge(
        "system.queue_depth",
        "Jobs waiting",
        "Jobs that were due and waited for a worker, on average.",
        Value("system.queue", "mean"),
        "mean of the published values",
        "0 and 4: 2",
        "50",
        "500",
        unit=Unit.NUMBER,
    ),
    gauge(
        "system.queue_peak",
        "Jobs waiting, at most",
        "The longest queue of the period.",
        Value("system.queue_extremes", "maximum"),
        "greatest of the published values",
        "0 and 4: 4",
        unit=Unit.NUMBER,
    ),
    gauge(
        "system.up_time",
        "Time up",
        "Time for which somebody was there to say so.",
        Value("system.up_time"),
        "sum of the times between beats, at most 90 s each",
        "beats after 60 s, 60 s and 600 s: 210 s (210,000 ms)",
        unit=Unit.DURATION,
        better="up",
        additivity=Additivity.ADDITIVE,
    ),
    gauge(
        "system.observed_time",
        "Time observed",
        "Time between the first and the last beat.",
        Value("system.observed_time"),
        "sum of the times between beats",
        "beats after 60 s, 60 s and 600 s: 720 s (720,000 ms)",
        unit=Unit.DURATION,
        better="up",
        additivity=Additivity.ADDITIVE,
    ),
)
system.ratio(
    "system.uptime",
    "Uptime",
    "The share of the time for which the platform ran. A gap between two beats of more than 90 seconds is time down, "
    "and counts when the next beat comes.",
    "system.up_time",
    "system.observed_time",
    in_words="time up / time observed",
    example="beats after 60 s, 60 s and 600 s: 210 / 720 = 0.29",
    limits=("0.999", "0.99"),
)

generation = Family(owner="content", by=("content_type",))
generation.counted("generation.succeeded", "Content made", "Jobs that made content.", "generation_completed")
generation.counted(
    "generation.failed",
    "Content jobs failed",
    "Jobs that were to make content and gave up.",
    "generation_failed",
    by=("content_type", "reason"),
    better="down",
)
generation.counted(
    "generation.jobs",
    "Content jobs",
    "Jobs of content generation that ended, well or not.",
    "generation_completed",
    "generation_failed",
)
generation.ratio(
    "generation.success_rate",
    "Content job success rate",
    "Of the jobs of content generation that ended, the share that made something.",
    "generation.succeeded",
    "generation.jobs",
    in_words="generation_completed / (completed + failed)",
    example="9 of 10: 0.9",
    limits=("0.95", "0.8"),
)
generation.averaged(
    "generation.mean_duration",
    "Mean length of a content job",
    "How long jobs that made something took, on average.",
    "generation_completed",
    better="down",
    example="2 s and 4 s: 3 s (3,000 ms)",
)

data_points = Family(owner="platform", by=("object_id", "platform", "country"))
data_points.counted(
    "data_points.count", "Data points", "Numbers published, by the metric that the object names.", "data_point"
)
data_points.averaged(
    "data_points.mean",
    "Mean of data points",
    "Mean of published numbers. Read it by object: the mean over different metrics means nothing.",
    "data_point",
    field="value",
    unit=Unit.NUMBER,
    example="0.10 and 0.14 under one name: 0.12",
)
