"""Prints metrics over a range."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from analytics.periods import RangeError
from analytics.registry import UnknownName
from analytics.tenancy import UnknownTenant, tenant_by_slug
from kpis.contracts import Series, plain, written
from kpis.daily_visitors import DailyVisitors
from kpis.formula import FormulaError
from kpis.selectors import calendar_read
from kpis.series import NoCalendar, QuestionError, metrics_series
from kpis.series.question import instant_of


class Command(BaseCommand):
    help = (
        "Print metrics of a tenant over its local days, for example: "
        "manage.py kpi revenue.net orders.count --tenant shop --from 2026-01-01 --to 2026-02-01"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("metrics", nargs="+", metavar="METRIC", help="such as revenue.net, as many as you like")
        parser.add_argument("--tenant", required=True, help="slug")
        parser.add_argument("--from", dest="start", required=True, metavar="DATE", help="first day, in its zone")
        parser.add_argument("--to", dest="end", required=True, metavar="DATE", help="the day after the last")
        parser.add_argument("--by", metavar="DIM", help="break down by a column (country …) or properties.x")
        parser.add_argument("--granularity", metavar="G", help="points: minute, hour, day, week, month, quarter, year")
        parser.add_argument("--limit", type=int, default=10, help="values of a breakdown before the rest is one (10)")
        parser.add_argument("--json", action="store_true", help="JSON; alone: {metric: value}")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = _found(options)
        except RangeError:
            raise CommandError(f"--to {options['end']} must be later than --from {options['start']}.") from None
        except (UnknownTenant, UnknownName, QuestionError, NoCalendar, FormulaError) as error:
            raise CommandError(str(error)) from error
        if not options["json"]:
            self.stdout.write("\n".join(line for series in found for line in _lines(series)))
        elif options["by"] or options["granularity"]:
            self.stdout.write(json.dumps({series.metric: plain(series) for series in found}))
        else:
            self.stdout.write(json.dumps({series.metric: _value(series, series.total) for series in found}))


def _found(options: dict[str, Any]) -> list[Series]:
    tenant = tenant_by_slug(options["tenant"])
    calendar = calendar_read(tenant_id=tenant.id)
    return metrics_series(
        tenant_id=tenant.id,
        metrics=options["metrics"],
        start=instant_of(options["start"], calendar, "from"),
        end=instant_of(options["end"], calendar, "to"),
        grain=options["granularity"] or "total",
        by=options["by"],
        limit=options["limit"],
        now=timezone.now(),
    )


def _value(series: Series, number: Any) -> str | int | float | None:
    return written(number, series.unit, series.exponent)


def _lines(series: Series) -> list[str]:
    currency = f" {series.currency}" if series.unit == "money" else ""
    note = "" if series.is_complete else "   (not complete)"
    lines = [f"{series.metric:<32} {_text(series, series.total):>18}{currency}{note}"]
    if series.daily_visitors is not None:
        lines.append(f"  {series.daily_visitors.told}")
    zone = ZoneInfo(series.timezone)
    shape = "%Y-%m-%d %H:%M" if series.granularity in ("minute", "hour") else "%Y-%m-%d"
    for point in series.points:
        mark = "" if point.is_complete else "   (not complete)"
        mark += _said(point.daily_visitors)
        start = point.start.astimezone(zone).strftime(shape)
        lines.append(f"  {start:<30} {_text(series, point.value):>18}{currency}{mark}")
    for part in series.series:
        lines.append(f"  {part.key:<30} {_text(series, part.total):>18}{currency}{_said(part.daily_visitors)}")
    return lines


def _said(found: DailyVisitors | None) -> str:
    return "" if found is None else f"   ({found.label})"


def _text(series: Series, number: Any) -> str:
    value = _value(series, number)
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
