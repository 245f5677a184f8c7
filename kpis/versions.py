"""Whether an answer could have changed: a fingerprint of data and definitions that is cheaper than the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from django.db import connection
from django.db.models import Count, Max

from analytics.periods import floor_minute
from kpis.base import Metric
from kpis.base import metrics as declared
from kpis.catalogue import Catalogue, definition_version
from kpis.models import MetricValue
from kpis.needs import measures_in
from kpis.rollup.keys import COHORTS, stored_dimension

# A bucket is written only when it differs. The whole ones (no dimension) of the measures behind a metric tell of
# changes in its breakdowns too: events never change, and what moves people or money moves the whole. Closed days are
# one row each; younger changes show in the hours and minutes of the last two days.
_DATA: Final = """
SELECT concat_ws('/', c.id, b.cells, b.rows, b.total, b.at, d.oldest, d.newest)
  FROM bw_calendar c
 CROSS JOIN LATERAL (
       SELECT count(*) AS cells, sum(n) AS rows, sum(total) AS total, max(computed_at) AS at
         FROM bw_bucket
        WHERE tenant_id = c.tenant_id AND calendar_id = c.id AND measure = ANY(%(measures)s)
          AND dimension = ANY(%(wholes)s) AND start < %(end)s AND (grain = 3 OR start >= %(recent)s)
       ) b
 CROSS JOIN LATERAL (
       SELECT min(minute) AS oldest, max(minute) AS newest FROM bw_dirty_mark WHERE tenant_id = c.tenant_id
       ) d
 WHERE c.tenant_id = %(tenant)s AND c.state = 'live'
"""
RECENT: Final = timedelta(days=2)
LAG: Final = timedelta(days=40)
"""Retention of 30 days looks beyond the end of its range."""
WHOLES: Final = [stored_dimension("", cohort) for cohort in COHORTS]
UNCONVERTED: Final = "money.unconverted"


def data_version(*, tenant_id: int, measures: Iterable[str], end: datetime, now: datetime) -> str:
    """Changes whenever a bucket of these measures did that begins before `end`, or when any waits to."""
    parameters: dict[str, Any] = {
        "tenant": tenant_id,
        "measures": sorted({*measures, UNCONVERTED}),
        "wholes": WHOLES,
        "end": end,
        "recent": now - RECENT,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DATA, parameters)
        row = cursor.fetchone()
    return str(row[0]) if row else ""


def published_version(*, tenant_id: int, metric: str) -> str:
    """Changes whenever a value of the metric is published: for answers that tell of the ledger too."""
    rows = MetricValue.objects.filter(tenant_id=tenant_id, metric=metric)
    found = rows.aggregate(rows=Count("pk"), newest=Max("computed_at"))
    return f"{found['rows']}/{found['newest']}"


def answer_version(*, tenant_id: int, metrics: Iterable[str], end: datetime, now: datetime) -> str:
    """Of everything but the clock that answers about these metrics depend on: definitions and data.

    Raises UnknownName.
    """
    catalogue = Catalogue(tenant_id)
    known = [_known(catalogue[name], catalogue) for name in metrics]
    definitions = [version for version, _ in known]
    behind = frozenset[str]().union(*(measures for _, measures in known))
    data = data_version(tenant_id=tenant_id, measures=behind, end=end + LAG, now=now)
    return _digest(str(tenant_id), *definitions, data)


def _known(metric: Metric, catalogue: Catalogue) -> tuple[str, frozenset[str]]:
    """The metric's version and the measures behind it. What the code declares is made of nothing else, so it stays."""
    if declared.get(metric.id) is metric:
        return _of_declared(metric)
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
