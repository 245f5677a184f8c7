"""The last half hour by the minute, today beside yesterday at equal time, and what has just happened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from analytics.access.roles import Scope
from analytics.contracts import TenantInfo
from analytics.models import Event
from analytics.periods import Granularity, Period
from kpis.catalogue import Catalogue
from kpis.contracts import Series
from kpis.parameters import Ask
from kpis.versions import answer_tag
from reports.dashboard import shown
from reports.dashboard.cards import ChartCard, Tile
from reports.dashboard.pages import chart_for, data_through_of, tile_for
from reports.dashboard.question import PageQuestion, question_of
from reports.dashboard.reading import Numbers, has_events, numbers_read

MINUTES: Final = 30
LATEST: Final = 20
METRICS: Final = (
    "users.active",
    "events.count",
    "pageviews.count",
    "orders.count",
    "revenue.gross",
    "payments.settled",
)
CHARTS: Final = ("revenue.gross", "users.active")
PEOPLE: Final = "users.active"


@dataclass(frozen=True, slots=True)
class Bar:
    """A minute: its height of 100 and what it says."""

    x: str
    y: str
    height: str
    label: str


@dataclass(frozen=True, slots=True)
class MinuteCard:
    """A metric over the last half hour, a bar a minute."""

    metric: str
    title: str
    value: str
    bars: tuple[Bar, ...]
    width: str
    spoken: str


@dataclass(frozen=True, slots=True)
class Happening:
    """An event without anything that tells of whom."""

    at: datetime
    name: str
    details: tuple[str, ...]
    amount: str


@dataclass(frozen=True, slots=True)
class RealtimePage:
    """All of the page. `etag` is that of its numbers."""

    title: str
    intro: str
    minutes: tuple[MinuteCard, ...]
    tiles: tuple[Tile, ...]
    charts: tuple[ChartCard, ...]
    latest: tuple[Happening, ...]
    shows_events: bool
    zone: str
    data_through: str
    live_query: str
    is_empty: bool


def realtime_page(tenant: TenantInfo, now: datetime, scopes: frozenset[str]) -> RealtimePage:
    """The page at a moment. Events are shown to roles that may read them. Needs the tenant's context."""
    today = question_of({"period": "today"}, tenant, now, path="/realtime/")
    catalogue = Catalogue(tenant.id)
    recent = numbers_read(METRICS, _half_hour(today, now), tenant_id=tenant.id, catalogue=catalogue)
    day = numbers_read(METRICS, today.ask, tenant_id=tenant.id, catalogue=catalogue)
    is_empty = day.is_empty or not has_events(day)
    may_see = Scope.EVENTS_READ in scopes
    return RealtimePage(
        title="Realtime",
        intro=f"The last {MINUTES} minutes, and today against yesterday at the same time.",
        minutes=() if is_empty else tuple(_minute_card(name, recent) for name in METRICS if name in recent.series),
        tiles=() if is_empty else tuple(tile_for(name, day, today) for name in METRICS),
        charts=() if is_empty else tuple(chart_for(name, day, today) for name in CHARTS),
        latest=_latest(tenant, now) if may_see else (),
        shows_events=may_see,
        zone=shown.zone_shown(today.ask.calendar, now),
        data_through=data_through_of(day, today),
        live_query=today.live_query,
        is_empty=is_empty,
    )


def people_now(tenant: TenantInfo, now: datetime) -> str:
    """How many people were there in the last half hour, as the page says it; '' before anything was counted."""
    today = question_of({"period": "today"}, tenant, now)
    numbers = numbers_read((PEOPLE,), _half_hour(today, now), tenant_id=tenant.id)
    series = numbers.series.get(PEOPLE)
    return shown.of_series(series.total, series, is_short=True) if series and series.total is not None else ""


def realtime_tag(tenant: TenantInfo, now: datetime) -> str:
    """Changes when a number of the page could, and with the minute."""
    end = now + timedelta(days=1)
    return answer_tag(tenant_id=tenant.id, metrics=METRICS, question="realtime page", end=end, now=now)


def _half_hour(today: PageQuestion, now: datetime) -> Ask:
    end = today.ask.calendar.ceil(now, Granularity.MINUTE)
    period = Period(end - timedelta(minutes=MINUTES), end)
    return replace(today.ask, period=period, grain="minute", compare=None)


def _minute_card(name: str, numbers: Numbers) -> MinuteCard:
    series = numbers.series[name]
    most = max((point.value for point in series.points if point.value), default=Decimal(0))
    step = Decimal(100) / max(len(series.points), 1)
    return MinuteCard(
        metric=name,
        title=numbers.catalogue[name].name,
        value=shown.of_series(series.total, series, is_short=True),
        bars=tuple(_bar(place, series, most, step) for place in range(len(series.points))),
        width=f"{step * Decimal('0.8'):.2f}",
        spoken=f"{shown.of_series(series.total, series)} in the last {MINUTES} minutes",
    )


def _bar(place: int, series: Series, most: Decimal, step: Decimal) -> Bar:
    value = series.points[place].value or Decimal(0)
    height = max(value / most * 100, Decimal(2)) if most and value > 0 else Decimal(0)
    ago = len(series.points) - 1 - place
    label = f"{shown.of_series(value, series)}, {ago} min ago" if ago else f"{shown.of_series(value, series)}, now"
    return Bar(f"{step * place:.2f}", f"{100 - height:.1f}", f"{height:.1f}", label)


def _latest(tenant: TenantInfo, now: datetime) -> tuple[Happening, ...]:
    rows = (
        Event.objects.filter(tenant_id=tenant.id, ts__gte=now - timedelta(days=1), ts__lte=now)
        .filter(is_bot=False, is_internal=False)
        .order_by("-ts", "-id")
        .values_list("ts", "name", "platform", "country", "object_type", "method", "amount", "currency")[:LATEST]
    )
    return tuple(_happening(*row) for row in rows)


def _happening(at: datetime, name: str, *rest: object) -> Happening:
    platform, country, *others, amount, currency = rest
    details = (platform, shown.value_shown("country", str(country or "")) if country else "", *others)
    shown_amount = shown.minor_shown(amount, str(currency)) if isinstance(amount, int) and currency else ""
    return Happening(at, name, tuple(str(each) for each in details if each), shown_amount)
