"""What the looks at data quality share: what they read, and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from django.db import connection

from analytics.models import Tenant
from analytics.periods import Granularity, Period
from kpis.contracts import Series
from kpis.series import metric_series
from kpis.series.context import Context

Level = Literal["ok", "warning", "critical", "unknown"]
LEVELS: tuple[Level, ...] = ("critical", "warning", "unknown", "ok")
"""From bad to good: the whole is as its worst part."""

SAMPLE = 10_000
_SHARES = """
WITH newest AS (
    SELECT subject_id, country, amount, amount_base, currency, is_clamped, is_bot, is_historical,
           received_at - ts AS delay
      FROM bw_event WHERE tenant_id = %(tenant)s AND ts >= %(start)s ORDER BY ts DESC LIMIT %(sample)s)
SELECT count(*), count(*) FILTER (WHERE subject_id IS NULL), count(*) FILTER (WHERE country IS NULL),
       count(*) FILTER (WHERE amount IS NOT NULL),
       count(*) FILTER (WHERE amount IS NOT NULL AND amount_base IS NULL),
       array_agg(DISTINCT currency) FILTER (WHERE amount IS NOT NULL AND amount_base IS NULL),
       count(*) FILTER (WHERE is_clamped), count(*) FILTER (WHERE is_bot),
       count(*) FILTER (WHERE NOT is_historical),
       count(*) FILTER (WHERE NOT is_historical AND delay < interval '1 minute'),
       count(*) FILTER (WHERE NOT is_historical AND delay < interval '1 hour'),
       count(*) FILTER (WHERE NOT is_historical AND delay < interval '1 day'),
       count(*) FILTER (WHERE NOT is_historical AND delay < interval '7 days')
  FROM newest"""

_BACKLOG = """
SELECT count(*), min(created_at), min(minute) FROM bw_dirty_mark WHERE tenant_id = %(tenant)s"""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a value is a warning, and from where critical."""

    warning: float
    critical: float

    def level(self, value: float) -> Level:
        return "critical" if value >= self.critical else "warning" if value >= self.warning else "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `value` is it in short, `remedy` what to do (empty while all is well)."""

    id: str
    title: str
    status: Level
    value: str
    detail: str
    remedy: str = ""
    rows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Quality:
    """Everything that was looked at, the worst first."""

    as_of: datetime
    days: int
    status: Level
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Shares:
    """Counts among the newest events."""

    events: int
    nobody: int
    nowhere: int
    amounts: int
    rateless: int
    currencies: Sequence[str] | None
    clamped: int
    bots: int
    live: int
    in_minute: int
    in_hour: int
    in_day: int
    in_week: int


@dataclass(frozen=True)
class Look:
    """What the looks share, read when first asked for, within the tenant that is set."""

    context: Context
    days: int

    @property
    def tenant_id(self) -> int:
        return self.context.tenant_id

    @property
    def now(self) -> datetime:
        return self.context.now

    @property
    def span(self) -> Period:
        start = self.context.calendar.last(self.days, Granularity.DAY, self.now).start
        return Period(start, self.now)

    @cached_property
    def slug(self) -> str:
        """The tenant's name for commands."""
        return str(Tenant.objects.values_list("slug", flat=True).get(pk=self.tenant_id))

    def local(self, instant: datetime) -> str:
        """On the tenant's clock, with its zone."""
        calendar = self.context.calendar
        return f"{instant.astimezone(calendar.tz):%Y-%m-%d %H:%M} ({calendar.zone})"

    @cached_property
    def shares(self) -> Shares:
        start = self.now - timedelta(days=max(self.days, 1))
        return Shares(*self.row(_SHARES, start=start, sample=SAMPLE))

    @cached_property
    def backlog(self) -> tuple[int, datetime | None, datetime | None]:
        count, since, minute = self.row(_BACKLOG)
        return count, since, minute

    def row(self, query: str, **parameters: Any) -> Any:
        return self.rows(query, **parameters)[0]

    def rows(self, query: str, **parameters: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(query, {"tenant": self.tenant_id, **parameters})
            return list(cursor.fetchall())

    def series(self, metric: str, by: str | None = None) -> Series:
        return metric_series(
            tenant_id=self.tenant_id, metric=metric, start=self.span.start, end=self.span.end, grain="total", by=by,
            limit=None, now=self.now,
        )  # fmt: skip
