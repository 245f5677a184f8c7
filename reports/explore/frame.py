"""What all pages of exploration have in common: names to choose from, the head, the menu of an answer, numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from analytics.access.roles import Scope
from analytics.contracts import TenantInfo
from analytics.filters import calendar_of
from analytics.periods import Calendar, Period
from kpis.attribution.answer import UNTOUCHED
from kpis.contracts import OTHER
from kpis.mapping import event_names_seen
from kpis.rollup.keys import NONE_KEY
from kpis.segments.selectors import segments_list
from kpis.taxonomy import STANDARD_EVENTS
from reports.dashboard import shown
from reports.dashboard.cards import Action
from reports.dashboard.doors import scopes_of, tenant_of
from reports.explore.asking import Asked, Outcome, address, outcome_of, written
from reports.explore.parts import Known
from reports.exports.formats import FORMATS

DASH: Final = shown.UNKNOWN
MORE_OR_LESS: Final = ("more", "less")


@dataclass(frozen=True, slots=True)
class Head:
    """The top of a page. Facts of the answer are empty before there is one."""

    title: str
    intro: str
    zone: str
    data_through: str = ""
    executor: str = ""
    is_complete: bool = True
    dates: str = ""
    segment: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """A question to begin with."""

    label: str
    href: str


def known_of(tenant: TenantInfo, now: datetime) -> Known:
    """The tenant's names with their counts of the last 30 days, then the standard ones that were not sent."""
    counts: dict[str, int] = {}
    for row in event_names_seen(tenant_id=tenant.id, now=now):
        name = row.means or row.name
        counts[name] = counts.get(name, 0) + row.count
    sent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    names = [(name, f"{count:,} in 30 days") for name, count in sent]
    return Known([*names, *((name, "not sent lately") for name in STANDARD_EVENTS if name not in counts)])


def sent_of(known: Known, *wanted: str) -> list[str]:
    """Those of the wanted names that the tenant sends, in their order."""
    sent = {name for name, count in known.names if count != "not sent lately"}
    return [name for name in wanted if name in sent]


def page_of(
    request: HttpRequest,
    kind: str,
    asked: Asked,
    *,
    title: str,
    intro: str,
    template: str,
    fields: Any,
    known: Known,
    view: Callable[[dict[str, Any], str], Any],
    samples: tuple[Sample, ...] = (),
    **more: Any,
) -> HttpResponse:
    """Asks and renders. What takes long goes on as a job, whose page this one becomes."""
    from reports.explore.exports import files_of  # files are laid out with what stands here
    from reports.explore.to_board import boards_of  # boards show answers as cards, so they know this module

    outcome = outcome_of(request, kind, asked)
    if outcome.job is not None and not request.GET.get("job"):
        return redirect(address(request.path, asked.wanted, job=str(outcome.job.id)))
    context = {
        "head": head_of(tenant_of(request), title, intro, outcome),
        "kind": kind,
        "fields": fields,
        "known": known,
        "asked": asked,
        "outcome": outcome,
        "view": None if outcome.answer is None else view(outcome.answer, written(asked.wanted)),
        "q": written(asked.wanted),
        "here": address(request.path, asked.wanted),
        "embedded": address(request.path, asked.wanted, engine="duckdb"),
        "job_here": request.get_full_path(),
        "actions": actions_of(kind, asked.wanted),
        "files": files_of(kind, asked.wanted),
        "samples": samples,
        "segments": segments_list(tenant_id=tenant_of(request).id),
        "segment_chosen": str(asked.wanted.get("segment") or ""),
        "may_save": Scope.KPIS_WRITE in scopes_of(request),
        "may_see_people": Scope.EVENTS_READ in scopes_of(request),
        "boards": boards_of(request),
        "card_title": title,
        **more,
    }
    return render(request, template, context)


def head_of(tenant: TenantInfo, title: str, intro: str, outcome: Outcome | None = None) -> Head:
    """With the facts of the answer, when there is one."""
    calendar = calendar_of(tenant)
    zone = shown.zone_shown(calendar, timezone.now())
    answer = outcome.answer if outcome else None
    if not answer:
        return Head(title, intro, zone)
    return Head(
        title,
        intro,
        zone,
        moment(tenant, answer.get("data_through")),
        str(answer.get("executor", "")),
        bool(answer.get("is_complete", True)),
        dates_shown(answer.get("from"), answer.get("to"), calendar),
        str((answer.get("segment") or {}).get("name", "")),
    )


def actions_of(kind: str, wanted: Mapping[str, Any]) -> tuple[Action, ...]:
    """The menu of an answer: files and the API give the same numbers."""
    query = urlencode({"q": written(wanted)})
    return (
        *(Action(f"Download {name.upper()}", f"/explore/{kind}.{name}?{query}", "download") for name in FORMATS),
        Action("Copy API call", f"/api/v1/explore/{kind}/?{query}", "copy"),
    )


def people_href(kind: str, q: str, **place: Any) -> str:
    """The list of the people behind a place of an answer."""
    return f"{reverse('dashboard:explore-people')}?{urlencode({'kind': kind, 'q': q, **place})}"


# --- Numbers ----------------------------------------------------------------------------------------------------------


def dates_shown(start: Any, end: Any, calendar: Calendar) -> str:
    """The range of an answer, its last day included."""
    if not start or not end:
        return ""
    first, last = (datetime.fromisoformat(str(edge)) for edge in (start, end))
    return shown.period_shown(Period(first, last), calendar)


def moment(tenant: TenantInfo, text: Any) -> str:
    """An instant of an answer on the tenant's clock."""
    return shown.moment_shown(datetime.fromisoformat(str(text)), calendar_of(tenant)) if text else ""


def count(value: Any) -> str:
    return DASH if value is None else f"{value:,}"


def share(value: Any, digits: int = 1) -> str:
    """ "12.5 %"."""
    return DASH if value is None else f"{float(value) * 100:,.{digits}f} %"


def between(interval: Mapping[str, Any] | None) -> str:
    """ "11.2–13.9 %"."""
    return "" if not interval else f"{interval['low'] * 100:.1f}–{interval['high'] * 100:.1f} %"


def points(value: Any) -> str:
    """ "+1.2 pp"."""
    return DASH if value is None else f"{float(value) * 100:+.1f} pp".replace("-", "−")


def spread(interval: Mapping[str, Any] | None, text: Callable[[Any], str] = points) -> str:
    """What a difference may be: "+0.3 pp to +2.1 pp"; empty where that is not known."""
    return "" if not interval else f"{text(interval['low'])} to {text(interval['high'])}"


def tone(difference: Any, is_clear: bool) -> str:
    """The colour of a difference, which has one only when it is more than chance."""
    return ("good" if float(difference or 0) > 0 else "bad") if is_clear else ""


def verdict(difference: Any, is_clear: bool, words: tuple[str, str] = ("better", "worse")) -> str:
    """A difference in a word: one for up, one for down."""
    return words[0 if float(difference or 0) > 0 else 1] if is_clear else "too close to call"


def span(seconds: Any) -> str:
    """ "2 h 05 min"."""
    if seconds is None:
        return DASH
    text = shown.duration_shown(Decimal(str(seconds)) * 1000)
    for whole in (" 0 h", " 00 min", " 00 s"):
        text = text.removesuffix(whole)
    return text


def amount(text: Any, currency: str) -> str:
    """A decimal string of an answer as money."""
    if text is None:
        return DASH
    value = Decimal(str(text))
    return f"{'−' if value < 0 else ''}{shown.symbol(currency)}{abs(value):,}"


def key_shown(key: str) -> str:
    return {OTHER: "All others", NONE_KEY: shown.NONE_LABEL, "": shown.NONE_LABEL}.get(key, key)


def credit_shown(key: str) -> str:
    """The same for what gets credit, where none means that no touch came before."""
    return "Nothing before it" if key == UNTOUCHED else key_shown(key)
