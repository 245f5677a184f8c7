"""Whether an answer could have changed: a fingerprint of data and definitions that is cheaper than the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from django.db import connection
from django.db.models import Count, Max

from analytics.cache import LIVE, METRICS, Audience, cache
from analytics.periods import floor_minute
from kpis.base import Metric, Thresholds
from kpis.base import metrics as declared
from kpis.catalogue import Catalogue, definition_version
from kpis.models import MetricValue
from kpis.needs import measures_in
from kpis.rollup.keys import COHORTS, stored_dimension

# A bucket is written only when it differs. The whole ones (no dimension) of the measures behind a metric tell of
# changes in its breakdowns too: events never change, and what moves people or money moves the whole. Closed days are
# one row each; younger changes show in the hours and minutes of the last two days.
_COUNTED: Final = """
SELECT concat_ws('/', count(*), sum(n), sum(total), max(computed_at))
  FROM bw_bucket
 WHERE tenant_id = %(tenant)s AND calendar_id = %(calendar)s AND measure = ANY(%(measures)s)
   AND dimension = ANY(%(wholes)s) AND start < %(end)s AND (grain = 3 OR start >= %(recent)s)
"""
# Daily visitors who signed in are none any more (S35), and no bucket need show it: a person's number may stay the same.
_WAITING: Final = """
SELECT c.id, c.week_start, d.oldest, d.newest, k.known
  FROM bw_calendar c
 CROSS JOIN LATERAL (
       SELECT min(minute) AS oldest, max(minute) AS newest FROM bw_dirty_mark WHERE tenant_id = c.tenant_id
       ) d
 CROSS JOIN LATERAL (
       SELECT concat_ws('/', count(*), sum(id)) AS known FROM bw_subject
        WHERE tenant_id = c.tenant_id AND is_daily AND is_identified
       ) k
 WHERE c.tenant_id = %(tenant)s AND c.state = 'live'
"""
RECENT: Final = timedelta(days=2)
MANY: Final = 40
FAR: Final = datetime(9000, 1, 1, tzinfo=UTC)
LAG: Final = timedelta(days=40)
"""Retention of 30 days looks beyond the end of its range."""
WHOLES: Final = [stored_dimension("", cohort) for cohort in COHORTS]
NO_LIMITS: Final = Thresholds()
UNCONVERTED: Final = "money.unconverted"


def data_version(*, tenant_id: int, measures: Iterable[str], end: datetime, now: datetime) -> str:
    """Changes whenever a bucket of these measures did that begins before `end`, when any waits to, or when a daily
    visitor became known.

    Of more than MANY measures what is counted is remembered until the next count is committed (a second more in other
    processes): for the whole catalogue looking it up takes ten times as long as everything else.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"tenant": tenant_id})
        row = cursor.fetchone()
    if row is None:
        return ""
    calendar, *waiting = row
    parameters: dict[str, Any] = {
        "tenant": tenant_id,
        "calendar": calendar,
        "measures": sorted({*measures, UNCONVERTED}),
        "wholes": WHOLES,
        "end": end if end < now else FAR,
    }
    is_many = len(parameters["measures"]) > MANY
    counted = (_counted_remembered if is_many else _counted)(parameters, now)
    return "/".join(str(part) for part in (calendar, counted, *waiting))


def _counted_remembered(parameters: dict[str, Any], now: datetime) -> str:
    return cache().answer(
        audience=Audience(parameters["tenant"], ""),
        name="kpis.version",
        question=parameters,
        compute=lambda: _counted(parameters, now),
        ttl=LIVE,
        now=now,
        tags=(METRICS,),
        into=str,
    )


def _counted(parameters: dict[str, Any], now: datetime) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, {**parameters, "recent": now - RECENT})
        return str(cursor.fetchone()[0])


def published_version(*, tenant_id: int, metric: str) -> str:
    """Changes whenever a value of the metric is published: for answers that tell of the ledger too."""
    rows = MetricValue.objects.filter(tenant_id=tenant_id, metric=metric)
    found = rows.aggregate(rows=Count("pk"), newest=Max("computed_at"))
    return f"{found['rows']}/{found['newest']}"


def answer_version(*, tenant_id: int, metrics: Iterable[str], end: datetime, now: datetime) -> str:
    """Of everything but the clock that answers about these metrics depend on: definitions and data.

    Raises UnknownName.
    """
    catalogue, metrics = Catalogue(tenant_id), tuple(metrics)
    known = [_known(catalogue[name], catalogue) for name in metrics]
    definitions = [version for version, _ in known] + [_limits(catalogue[name]) for name in metrics]
    behind = frozenset[str]().union(*(measures for _, measures in known))
    data = data_version(tenant_id=tenant_id, measures=behind, end=end + LAG, now=now)
    return _digest(str(tenant_id), *definitions, data)


def _limits(metric: Metric) -> str:
    """Answers tell how a number stands, and a tenant may set its limits without touching the definition."""
    return "" if metric.thresholds == NO_LIMITS else repr(metric.thresholds)


def _known(metric: Metric, catalogue: Catalogue) -> tuple[str, frozenset[str]]:
    """The metric's version and the measures behind it. What the code declares is made of nothing else, so it stays."""
    if (built_in := declared.get(metric.id)) is not None:
        return _of_declared(built_in)
    return definition_version(metric, catalogue), frozenset(measures_in(metric, catalogue))


@lru_cache(maxsize=2048)
def _of_declared(metric: Metric) -> tuple[str, frozenset[str]]:
    catalogue = dict(declared.items())
    return definition_version(metric, catalogue), frozenset(measures_in(metric, catalogue))


def answer_tag(*, tenant_id: int, metrics: Iterable[str], question: str, end: datetime, now: datetime) -> str:
    """The ETag of an answer about metrics. Raises UnknownName."""
    version = answer_version(tenant_id=tenant_id, metrics=metrics, end=end, now=now)
    return tag_of(version, question=question, end=end, now=now)


def tag_of(version: str, *, question: str, end: datetime, now: datetime) -> str:
    """The ETag of a version's answer to a question; weak, because `computed_at` may differ under the same numbers.

    A range that is not over changes with the clock too (`is_complete`), by the minute; others by the hour at most.
    """
    clock = floor_minute(now) if end >= now else floor_minute(now).replace(minute=0)
    return f'W/"{_digest(version, question, clock.isoformat())}"'


def _digest(*parts: str) -> str:
    return hashlib.blake2b(chr(0).join(parts).encode(), digest_size=12).hexdigest()
