"""Numbers, changes and dates as people read them. English; digits of a table align, so widths do not jump."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

from babel.core import Locale
from babel.numbers import get_currency_symbol

from analytics.capture.money import exponents
from analytics.periods import Calendar, Granularity, Period
from kpis.base import Unit
from kpis.contracts import OTHER, Change, Number, Series

UNKNOWN: Final = "–"
NONE_LABEL: Final = "(none)"
SUFFIXES: Final = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "K"))
SHORT_FROM: Final = Decimal(100_000)
ARROWS: Final = {"up": "▲", "down": "▼", "flat": "="}
OBJECTS: Final = {"creators": "creator", "features": "feature", "commerce": "product", "trading": "market"}
BASES: Final = {
    "from_zero": "from zero",
    "no_baseline": "nothing to compare",
    "no_value": "no value",
}


@lru_cache(maxsize=256)
def symbol(currency: str) -> str:
    """€, US$, CHF: as English writes it before an amount."""
    found: str = get_currency_symbol(currency, "en")
    return found if len(found) < 3 else f"{found} "


def number_shown(value: Number, unit: Unit, currency: str = "", exponent: int = 2) -> str:
    """The whole value: "€1,234.50", "12.4 %", "2 min 30 s", an en dash for what is not known."""
    if value is None:
        return UNKNOWN
    if unit is Unit.MONEY:
        rounded = value.quantize(Decimal(1).scaleb(-exponent), rounding=ROUND_HALF_UP)
        return f"{'-' if rounded < 0 else ''}{symbol(currency)}{abs(rounded):,}"
    if unit is Unit.RATIO:
        return f"{_rounded(value * 100, 1)} %"
    if unit is Unit.PERCENTAGE_POINTS:
        return f"{_rounded(value, 1)} pp"
    if unit is Unit.DURATION:
        return duration_shown(value)
    if value == value.to_integral_value():
        return f"{value:,.0f}"
    return f"{_rounded(value, 2 if abs(value) >= 1 else 3)}"


def short_shown(value: Number, unit: Unit, currency: str = "", exponent: int = 2) -> str:
    """As `number_shown`, but large amounts in short: "€1.24M", "812K"."""
    if value is None or unit not in (Unit.MONEY, Unit.COUNT, Unit.NUMBER) or abs(value) < SHORT_FROM:
        return number_shown(value, unit, currency, exponent)
    size, suffix = next(pair for pair in SUFFIXES if abs(value) >= pair[0])
    scaled = abs(value) / size
    digits = max(0, 3 - len(str(int(scaled))))
    sign, before = ("-" if value < 0 else ""), symbol(currency) if unit is Unit.MONEY else ""
    return f"{sign}{before}{_rounded(scaled, digits)}{suffix}"


def of_series(value: Number, series: Series, *, is_short: bool = False) -> str:
    """A value of the series, in its unit."""
    return (short_shown if is_short else number_shown)(value, series.unit, series.currency, series.exponent)


def minor_shown(amount: int, currency: str) -> str:
    """An amount of minor units in its own currency."""
    exponent = exponents().get(currency, 2)
    return number_shown(Decimal(amount).scaleb(-exponent), Unit.MONEY, currency, exponent)


def duration_shown(milliseconds: Decimal) -> str:
    """As people say it: 340 ms, 12.5 s, 2 min 30 s, 1 h 05 min, 3 d 4 h."""
    sign, milliseconds = ("-" if milliseconds < 0 else ""), abs(milliseconds)
    if milliseconds < 1000:
        return f"{sign}{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{sign}{_rounded(milliseconds / 1000, 1)} s"
    seconds = round(milliseconds / 1000)
    if seconds < 3600:
        return f"{sign}{seconds // 60} min {seconds % 60:02d} s"
    if seconds < 86_400:
        return f"{sign}{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{sign}{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def change_shown(change: Change | None) -> str:
    """ "12.4 %", "1.2 pp", "from zero": the size only, the arrow says the direction."""
    if change is None:
        return ""
    if change.points is not None:
        return f"{_rounded(abs(change.points), 1)} pp"
    if change.percent is not None:
        return f"{_rounded(abs(change.percent), 1 if abs(change.percent) < 1000 else 0)} %"
    return BASES.get(change.basis, "")


def change_spoken(change: Change | None) -> str:
    """The same for ears: "up 12.4 %", "unchanged"."""
    if change is None or not change.direction:
        return change_shown(change)
    if change.direction == "flat":
        return "unchanged"
    return f"{change.direction} {change_shown(change)}"


def _rounded(value: Decimal, digits: int) -> str:
    return f"{value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP):,}"


# --- Names ------------------------------------------------------------------------------------------------------------


def key_shown(key: str) -> str:
    """A value of a dimension: what has none and what the limit left out have names of their own."""
    return {OTHER: "All others", "": NONE_LABEL}.get(key, key)


@lru_cache(maxsize=1)
def countries() -> dict[str, str]:
    """The English name of each country by its code."""
    names: dict[str, str] = dict(Locale("en").territories)
    return {code: name for code, name in names.items() if len(code) == 2 and code.isalpha() and code != "ZZ"}


def value_shown(by: str, key: str) -> str:
    """A value of that dimension for people: countries by their names."""
    return countries().get(key) or key_shown(key) if by == "country" else key_shown(key)


def country_code(text: str) -> str:
    """The code of a country that somebody calls by its name; anything else as it is."""
    named = {name.casefold(): code for code, name in countries().items()}
    return named.get(text.strip().casefold(), text.strip())


def dimension_shown(name: str, metric: str = "") -> str:
    """`content_type` is "content type"; a property is named by its key, an object by what the metric's family is of."""
    if name == "object_id":
        return OBJECTS.get(metric.partition(".")[0], "item")
    return name.removeprefix("properties.").replace("_", " ").strip() or name


def titled(name: str, dimension: str) -> str:
    """ "Orders by country"; a name that says so already stays alone."""
    return name if name.endswith(f" by {dimension}") else f"{name} by {dimension}"


# --- Times ------------------------------------------------------------------------------------------------------------


def day_shown(local: datetime) -> str:
    """ "21 Nov 2026"."""
    return f"{local.day} {local:%b %Y}"


def moment_shown(instant: datetime, calendar: Calendar) -> str:
    """ "21 Nov 2026, 14:05" on the tenant's clock."""
    local = instant.astimezone(calendar.tz)
    return f"{day_shown(local)}, {local:%H:%M}"


def period_shown(period: Period, calendar: Calendar) -> str:
    """ "1 – 30 Nov 2026": the last day is in it."""
    first, last = period.start.astimezone(calendar.tz), (period.end - timedelta(microseconds=1)).astimezone(calendar.tz)
    if period.elapsed <= timedelta(hours=3):
        return f"{day_shown(first)}, {first:%H:%M} – {last:%H:%M}"
    if first.date() == last.date():
        return day_shown(first)
    if first.year != last.year:
        return f"{day_shown(first)} – {day_shown(last)}"
    if first.month != last.month:
        return f"{first.day} {first:%b} – {day_shown(last)}"
    return f"{first.day} – {day_shown(last)}"


def over(period: str) -> str:
    """ "over 1 – 30 Nov 2026", "on 21 Nov 2026"."""
    return f"{'over' if '–' in period else 'on'} {period}"


def point_shown(start: datetime, grain: str, calendar: Calendar) -> str:
    """The name of a bucket: "Mon 2 Mar", "14:00", "March 2026", "week of 2 Mar"."""
    local = start.astimezone(calendar.tz)
    if grain in (Granularity.MINUTE, Granularity.HOUR):
        return f"{local.day} {local:%b %H:%M}"
    if grain == Granularity.WEEK:
        return f"week of {local.day} {local:%b %Y}"
    if grain == Granularity.MONTH:
        return f"{local:%B %Y}"
    if grain == Granularity.QUARTER:
        return f"Q{(local.month + 2) // 3} {local.year}"
    if grain == Granularity.YEAR:
        return str(local.year)
    return f"{local:%a} {local.day} {local:%b %Y}"


def zone_shown(calendar: Calendar, now: datetime) -> str:
    """ "Europe/Paris (UTC+1)"."""
    offset = now.astimezone(calendar.tz).utcoffset() or timedelta(0)
    minutes = int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"{calendar.zone} (UTC{'−' if minutes < 0 else '+'}{hours}{f':{rest:02d}' if rest else ''})"
