"""Tables of customers, segments, costs and performance as files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from django.http import HttpRequest
from django.utils import timezone

from analytics.capture.money import exponents
from analytics.lake.errors import LakeError
from insights.contracts import SnapshotView
from insights.selectors import UNITS, NoSnapshot, lifetime_curves, snapshot_read
from kpis.explore.models import MarketingCost
from kpis.performance import slowest_routes
from kpis.segments.selectors import segments_list
from kpis.series import NoCalendar
from reports.dashboard.doors import tenant_of
from reports.dashboard.question import page_question
from reports.exports.sheet import Cell, Column, ColumnKind, Sheet
from reports.exports.tables import NoTable, TableFile, files

Rows = Iterable[tuple[Cell, ...]]
TEXT, COUNT, RATIO, NUMBER = ColumnKind.TEXT, ColumnKind.COUNT, ColumnKind.RATIO, ColumnKind.NUMBER
INSTANT, FLAG = ColumnKind.INSTANT, ColumnKind.FLAG
MOST_COSTS = 100_000


def _minor(amount: float | None, digits: int) -> Decimal | None:
    return None if amount is None else Decimal(round(amount)).scaleb(-digits)


def _day(request: HttpRequest, name: str) -> date | None:
    try:
        return date.fromisoformat(request.GET[name]) if request.GET.get(name) else None
    except ValueError:
        raise NoTable(f"`{name}` is a date such as 2026-10-31.") from None


def _snapshot(request: HttpRequest) -> SnapshotView:
    taken_on, compare = (_day(request, name) for name in ("taken_on", "compare"))
    try:
        return snapshot_read(tenant_id=tenant_of(request).id, taken_on=taken_on, compare=compare)
    except NoSnapshot as problem:
        raise NoTable(str(problem)) from None


def _about(found: SnapshotView) -> tuple[tuple[str, str], ...]:
    rule = ("Scored by", found.rule.replace("_", " "))
    return (("Taken on", found.taken_on.isoformat()), ("Data through", found.stamp.data_through.isoformat()), rule)


def segments_of_customers(request: HttpRequest) -> Sheet:
    """A snapshot, one segment to a row."""
    found = _snapshot(request)
    digits, code = exponents().get(found.currency, 2), found.currency
    columns = (
        Column("segment", TEXT), Column("customers", COUNT), Column("share", RATIO), Column("orders", COUNT),
        Column(f"net ({code})", ColumnKind.MONEY, digits), Column("net_share", RATIO), Column("recency_days", NUMBER),
        Column(f"predicted ({code})", ColumnKind.MONEY, digits),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (each.name, each.size, each.share, each.orders, _minor(each.net, digits), each.net_share, each.recency_days,
         _minor(each.predicted, digits))
        for each in found.segments
    ]  # fmt: skip
    return Sheet("customers-segments", columns, rows, _about(found))


def moves_of_customers(request: HttpRequest) -> Sheet:
    """Who was in one segment and is in another, in people."""
    found = _snapshot(request)
    if found.compared_with is None:
        raise NoTable("There is one snapshot only, so nobody has moved yet.")
    columns = (Column("from", TEXT), Column("to", TEXT), Column("people", COUNT))
    moves = sorted(found.moves.items(), key=lambda move: (-move[1], move[0]))
    rows: list[tuple[Cell, ...]] = [(old or "(none)", new or "(none)", people) for (old, new), people in moves]
    return Sheet("customers-moves", columns, rows, (("Since", found.compared_with.isoformat()), *_about(found)))


def lifetime_of_customers(request: HttpRequest) -> Sheet:
    """What cohorts brought, one age of one cohort to a row."""
    unit = request.GET.get("unit", "month")
    unit = unit if unit in UNITS else "month"
    try:
        found = lifetime_curves(tenant_id=tenant_of(request).id, unit=unit, units=12, now=timezone.now())
    except (LakeError, NoCalendar) as problem:
        raise NoTable(str(problem) or "The store of events cannot be read just now.") from None
    digits, code, money = exponents().get(found.currency, 2), found.currency, ColumnKind.MONEY
    columns = (
        Column("first_bought", TEXT), Column("customers", COUNT), Column(unit, COUNT),
        Column(f"net ({code})", money, digits), Column(f"net_each ({code})", money, digits),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (cohort.start.isoformat(), cohort.size, age, _minor(net, digits), _minor(each, digits))
        for cohort in found.cohorts
        for age, (net, each) in enumerate(zip(cohort.net, cohort.net_each, strict=True))
        if net is not None
    ]
    told = (("Observed", "net revenue, refunds taken off on their own day; a unit that is not over is left out"),)
    return Sheet("customers-lifetime", columns, rows, (*told, ("Data through", found.stamp.data_through.isoformat())))


def kept_segments(request: HttpRequest) -> Sheet:
    """Every kept segment: its size and when it held, never its people."""
    columns = (
        Column("segment", TEXT), Column("people", COUNT), Column("source", TEXT), Column("as_of", INSTANT),
        Column("is_fixed", FLAG), Column("error", TEXT),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (each.name, each.size, each.source, each.as_of, each.is_fixed, each.error)
        for each in segments_list(tenant_id=tenant_of(request).id)
    ]
    return Sheet("segments", columns, rows)


def costs(request: HttpRequest) -> Sheet:
    """Stored costs, in the columns in which they are taken in again."""
    found = MarketingCost.objects.filter(tenant_id=tenant_of(request).id).order_by("day", "channel", "campaign", "pk")
    money = ColumnKind.MONEY
    columns = (Column("day", TEXT), Column("channel", TEXT), Column("campaign", TEXT), Column("amount", money, 3),
               Column("currency", TEXT))  # fmt: skip
    digits = exponents()
    rows: list[tuple[Cell, ...]] = [
        (row.day.isoformat(), row.channel, row.campaign, _minor(row.amount, digits.get(row.currency, 2)), row.currency)
        for row in found[:MOST_COSTS]
    ]
    return Sheet("costs", columns, rows)


def slow_routes(request: HttpRequest) -> Sheet:
    """The slowest routes; times are milliseconds."""
    question = page_question(request, tenant_of(request))
    try:
        found = slowest_routes(question.tenant, replace(question.ask, by=None))
    except NoCalendar:
        raise NoTable("Nothing is counted yet.") from None
    columns = (
        Column("route", TEXT), Column("requests", COUNT),
        *(Column(f"{name} (ms)", NUMBER) for name in ("p50", "p95", "p95_before")),
        Column("trend", RATIO), Column("error_rate", RATIO),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (route.route, route.requests, route.p50, route.p95, route.before, route.trend, route.error_rate)
        for route in found
    ]
    period = question.ask.period
    return Sheet("performance-routes", columns, rows, (("Range", f"{_at(period.start)} to {_at(period.end)}"),))


def _at(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")


for name, read in (
    ("customers-segments", segments_of_customers),
    ("customers-moves", moves_of_customers),
    ("customers-lifetime", lifetime_of_customers),
    ("segments", kept_segments),
    ("costs", costs),
    ("performance-routes", slow_routes),
):
    files.register(TableFile(name, read))
