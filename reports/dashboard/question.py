"""The question of a page, out of its address: bad parts are told and left out, so that the rest still answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from analytics.access.roles import Scope
from analytics.contracts import TenantInfo
from analytics.filters import nearest, refuse
from analytics.periods import Granularity, Period
from kpis.base import EVENT_COLUMNS, PROPERTY
from kpis.parameters import CUT, EVERYTHING, Ask, ask_of
from kpis.series.question import TOTAL, WIDTHS
from reports.dashboard.beginning import is_first_day
from reports.dashboard.doors import scopes_of

DEFAULT_COMPARE: Final = "previous"
RANGE_FIELDS: Final = ("period", "from", "to", "days")
MOST_POINTS: Final = 800
"""A chart as wide as a screen shows no more; every point is computed, sent and written into the table."""
FINE: Final = (
    (timedelta(days=2, hours=2), Granularity.HOUR),
    (timedelta(days=100), Granularity.DAY),
    (timedelta(days=800), Granularity.WEEK),
    (timedelta(days=20_000), Granularity.MONTH),
)
OF_THE_SCREEN: Final = ("kiosk", "seconds")
"""Parameters that say how a page is shown, not what it is asked."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """A part of the address that means nothing here; it was left out."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """What a page is asked. `parameters` are those of the address that were understood; `may_write` is whether the
    visitor may add to what the page shows."""

    ask: Ask
    tenant: TenantInfo
    path: str
    parameters: dict[str, str]
    complaints: list[Complaint] = field(default_factory=list)
    is_grain_chosen: bool = False
    may_write: bool = False

    def href(self, path: str = "", /, **changes: str | None) -> str:
        """The address of this question on a page (this one), with parameters changed, or None to leave them out."""
        return address(path or self.path, self.parameters, **changes)

    @property
    def until(self) -> str:
        """When the range becomes another one, because it is named by today; '' for one between two days."""
        if "from" in self.parameters:
            return ""
        return self.ask.calendar.unit(self.ask.now, Granularity.DAY).end.isoformat()

    @property
    def live_query(self) -> str:
        """The question of live numbers, with the range as it was understood: to-date ranges whole (see `_whole`)."""
        span = {"from": self.ask.period.start.isoformat(), "to": self.ask.period.end.isoformat()}
        named = {name: value for name, value in self.parameters.items() if name not in RANGE_FIELDS}
        wanted = {"compare": DEFAULT_COMPARE, **named, **span}
        return urlencode({name: value for name, value in wanted.items() if name not in CUT})

    def api(self, metric: str, /, **changes: str | None) -> str:
        """The same question to the API."""
        wanted = {"granularity": self.ask.grain, "compare": DEFAULT_COMPARE, **self.parameters}
        return address(f"/api/v1/kpis/{metric}/series/", wanted, **changes)


def address(path: str, parameters: Mapping[str, str], /, **changes: str | None) -> str:
    """`path?query` with changes; `from_` stands for `from`, which is a word of Python."""
    wanted: dict[str, str | None] = dict(parameters)
    for name, value in changes.items():
        wanted[name.rstrip("_")] = value
    query = urlencode({name: value for name, value in wanted.items() if value})
    return f"{path}?{query}" if query else path


def page_question(request: HttpRequest, tenant: TenantInfo, **defaults: Any) -> PageQuestion:
    """The question of a request; whatever is wrong in it becomes a complaint.

    On the first day of a tenant's events it is about today: the complete days before it would show nothing.
    """
    now = timezone.now()
    asked = {name: value for name, value in request.GET.dict().items() if name not in OF_THE_SCREEN}
    if not asked.keys() & set(RANGE_FIELDS) and is_first_day(tenant, now):
        asked["period"] = "today"
    question = question_of(asked, tenant, now, path=request.path, **defaults)
    return replace(question, may_write=Scope.KPIS_WRITE in scopes_of(request))


def question_of(
    parameters: Mapping[str, str],
    tenant: TenantInfo,
    now: datetime,
    *,
    path: str = "/",
    known: Collection[str] = EVERYTHING,
    default_period: str = "last_30d",
    default_compare: str = DEFAULT_COMPARE,
) -> PageQuestion:
    """As `page_question`, from the parameters themselves."""
    wanted = {name: value for name, value in parameters.items() if value.strip()}
    complaints: list[Complaint] = []
    defaults = {"default_period": default_period, "default_compare": default_compare}
    while True:
        try:
            ask = ask_of(wanted, tenant, now, known=known, **defaults)
            _check_columns(ask)
            break
        except ValidationError as error:
            found = _complaints(error)
            complaints += found
            wanted = _without(wanted, [each.field for each in found])
    ask = replace(ask, period=_whole(ask))
    grain, complaint = _grain(ask, wanted.get("granularity", ""))
    if complaint:
        complaints.append(complaint)
        wanted.pop("granularity", None)
    return PageQuestion(replace(ask, grain=grain), tenant, path, wanted, complaints, "granularity" in wanted)


def _check_columns(ask: Ask) -> None:
    """A filter on a column that no event has would leave the whole page without numbers."""
    for condition in ask.filters:
        name = condition.field
        if name not in EVENT_COLUMNS and not PROPERTY.match(name):
            known = sorted(EVENT_COLUMNS)
            refuse("filters", "unknown_dimension", f"There is no dimension {name[:100]!r}.{nearest(name, known)}")


def _whole(ask: Ask) -> Period:
    """The whole unit for one to date: what is to come is empty, the comparison is cut to equal elapsed time (S3)."""
    period = ask.period
    return ask.calendar.unit(ask.now, period.unit) if period.is_to_date and period.unit else period


def _complaints(error: ValidationError) -> list[Complaint]:
    detail = error.detail if isinstance(error.detail, dict) else {"": error.detail}
    return [Complaint(name, " ".join(map(str, messages))) for name, messages in detail.items()]


def _without(wanted: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """Every complaint takes something away, so that asking again comes to an end."""
    dropped = set(names)
    if dropped & {*RANGE_FIELDS, "question", ""}:
        dropped |= set(RANGE_FIELDS)
    rest = {name: value for name, value in wanted.items() if name not in dropped}
    return rest if len(rest) < len(wanted) else {}


def points_of(period: Period, grain: str) -> int:
    """About how many points a range has."""
    return 1 if grain == TOTAL else int(period.elapsed / WIDTHS[Granularity(grain)]) + 1


def grain_for(period: Period) -> str:
    """The granularity that reads best over the range."""
    return next((grain.value for most, grain in FINE if period.elapsed <= most), Granularity.YEAR.value)


def grains_for(period: Period) -> list[str]:
    """The granularities that make sense of a range: at least two points, at most what a chart can show."""
    return [grain.value for grain in Granularity if 1 < points_of(period, grain.value) <= MOST_POINTS]


def _grain(ask: Ask, chosen: str) -> tuple[str, Complaint | None]:
    fitting = grain_for(ask.period)
    if not chosen or chosen == TOTAL:
        return fitting, None
    count = points_of(ask.period, chosen)
    if count <= MOST_POINTS:
        return chosen, None
    message = f"By {chosen} that is {count:,} points, at most {MOST_POINTS} fit a chart. It is shown by {fitting}."
    return fitting, Complaint("granularity", message)
