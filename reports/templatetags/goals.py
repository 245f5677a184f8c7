"""How a goal is written: its amounts in its own unit, its standing in words."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from kpis.base import Unit
from kpis.contracts import Number
from kpis.goals.contracts import GoalView
from reports.dashboard.shown import number_shown

register = template.Library()


@register.filter
def amount(goal: GoalView, value: Number) -> str:
    """A value of the goal's metric: "€1,200.00", "12.4 %"; expected counts are of whole things."""
    if value is not None and goal.unit is Unit.COUNT:
        value = value.quantize(Decimal(1))
    return number_shown(value, goal.unit, goal.currency, goal.exponent)


@register.filter
def spoken(status: str) -> str:
    """on_track is "On track"."""
    return str(status).replace("_", " ").capitalize()


@register.filter
def percent(share: float | Decimal | None) -> str:
    """0.412 is "41 %"; the ends are not claimed before they are reached."""
    if share is None:
        return "–"
    number = float(share) * 100
    if 0 < number < 1:
        return "< 1 %"
    return "> 99 %" if 99 < number < 100 else f"{number:.0f} %"


@register.filter
def share(value: Number) -> str:
    """0.993 is "99 %"."""
    return "–" if value is None else f"{value * 100:.0f} %"


@register.filter
def plain(value: Number) -> str:
    """3.00 is "3", 0.50 is "0.5"."""
    return "–" if value is None else f"{value.normalize():f}"


@register.filter
def clipped(share: Number) -> str:
    """Within a bar's ends."""
    return f"{min(max(float(share or 0), 0), 1):.4f}"


@register.filter
def last_day(end: date) -> date:
    """The last day of a half-open range of days."""
    return end - timedelta(days=1)


@register.filter
def with_code(text: str) -> SafeString:
    """What stands between backticks as code; everything is escaped."""
    parts = str(text).split("`")
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", part) if place % 2 else part,) for place, part in enumerate(parts))
    )


@register.filter
def of(found: dict[str, object], name: str) -> object:
    """The entry of a name, '' without one."""
    return found.get(name, "")
