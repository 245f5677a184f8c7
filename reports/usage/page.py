"""`/usage/`: the answer of `GET /api/v1/usage/` as tables, in words where a number alone misleads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from analytics.cache import Audience
from analytics.contracts import TenantInfo
from analytics.filters import calendar_of
from analytics.lake.errors import LakeError, StoreTimeout
from kpis.contracts import OTHER
from kpis.daily_visitors import DailyVisitors
from kpis.explore.intervals import Interval
from kpis.groups import SMALLEST
from kpis.rollup.keys import NONE_KEY
from kpis.series import NoCalendar
from kpis.usage.answer import DEFAULT_WINDOW, usage_read
from kpis.usage.posts import COMPARED
from reports.dashboard import shown
from reports.dashboard.cards import Action, metric_path
from reports.dashboard.doors import role_of, tenant_of, tenant_page
from reports.dashboard.question import PageQuestion
from reports.dashboard.toolbar import Toolbar, toolbar_of
from reports.explore.frame import amount, count, key_shown, moment, share
from reports.explore.to_board import keep_form
from reports.exports.tables import downloads
from reports.usage.asking import PAGE_SECONDS, TOO_LONG, UsageQuestion, asked_of
from reports.usage.compared import changes_of
from reports.usage.files import PARTS

WINDOWS: Final = tuple((timedelta(days=days), f"{days} day{'s' * (days > 1)}") for days in (1, 7, 14, 30))
HIDDEN: Final = "left out"


@dataclass(frozen=True, slots=True)
class Head:
    """The top of the page."""

    title: str
    intro: str
    toolbar: Toolbar
    data_through: str
    complaints: Sequence[str]


@dataclass(frozen=True, slots=True)
class Linked:
    """A coefficient: its bar from −1 to 1 (percent of the box), and its interval in words."""

    value: str
    words: str
    left: str = "50"
    width: str = "0"
    tone: str = ""


@require_GET
@tenant_page()
def usage(request: HttpRequest) -> HttpResponse:
    """The page; it says what to send where there is nothing yet."""
    tenant = tenant_of(request)
    asked = asked_of(request)
    question = asked.question
    audience = Audience.member(tenant.id, role_of(request))
    answer: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None
    away = ""
    try:
        answer = usage_read(tenant=tenant, question=asked.ask, audience=audience, timeout=PAGE_SECONDS)
        if asked.before is not None:
            before = usage_read(tenant=tenant, question=asked.before, audience=audience, timeout=PAGE_SECONDS)
    except NoCalendar:
        pass  # nothing was counted yet: the page says what to send
    except StoreTimeout:
        away = TOO_LONG
    except LakeError:
        away = "The store of events cannot be read just now; nothing was lost. Try again in a moment."
    through = moment(tenant, answer["data_through"]) if answer else ""
    head = Head(
        "Usage",
        "Which features, platforms, automations and posts are used, and what their use goes along with.",
        toolbar_of(question),
        through,
        asked.complaints,
    )
    view = _view(answer, before, tenant, asked) if answer else None
    context = {
        "page": head,
        "away": away,
        "view": view,
        **keep_form(request, head.title, "measure", _kept(asked.question, answer)),
    }
    return render(request, "reports/usage/usage.html", context)


def _view(
    answer: Mapping[str, Any], before: Mapping[str, Any] | None, tenant: TenantInfo, asked: UsageQuestion
) -> dict[str, Any]:
    code, question, window = answer["currency"], asked.question, asked.ask.window
    posts, platforms, automation = answer["posts"], answer["platforms"], answer["automation"]
    return {
        "active": count(answer["active_users"]),
        "payers": count(answer["payers"]) if answer["payers"] is not None else f"fewer than {SMALLEST}",
        "method": answer["method"],
        "smallest": answer["smallest_group"],
        "features": [_feature(row, code) for row in answer["features"]],
        "changes": changes_of(answer, before) if before else [],
        "compared": _compared(question, is_on=before is not None),
        "reading": reading_of(answer, code),
        "platforms": [_platform(row, code) for row in platforms["platforms"]],
        "is_cut": platforms["is_cut"],
        "shared": [_shared(row) for row in platforms["shared_users"]],
        "together": [_together(row) for row in platforms["together"]],
        "automation": _automation(automation) if automation["runs"] else None,
        "posts": [_post(row, code, tenant) for row in posts["results"]],
        "sales": count(posts["conversions"]),
        "revenue": amount(posts["revenue"], code),
        "untouched": amount(posts["untouched"]["revenue"], code),
        "windows": [
            (label, question.href("", window=None if span == DEFAULT_WINDOW else f"{span.days}d"), span == window)
            for span, label in WINDOWS
        ],
        "files": _files(question),
        "automation_metric": metric_path("automation.efficiency"),
    }


def _kept(question: PageQuestion, answer: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Who used each feature, as a segment is defined; a range that moves stays one."""
    asked = question.parameters
    period = asked.get("period", "last_30d")
    if asked.get("from") or asked.get("to"):
        edges = (question.ask.period.start, question.ask.period.end)
        period = "..".join(question.ask.calendar.local_date(at).isoformat() for at in edges)
    of = {"measure": "features.users", "dimension": "object_id", "period": period}
    features = [row["feature"] for row in answer["features"]] if answer else []
    return {f"Used {name}": {**of, "keys": [name]} for name in features if name not in (OTHER, NONE_KEY)}


def _files(question: PageQuestion) -> dict[str, tuple[Action, ...]]:
    """The menu of each table."""
    api = question.href("/api/v1/usage/", compare=None, match_weekday=None)
    return {part: downloads(f"usage-{part}", api, **question.parameters) for part in PARTS}


def _compared(question: PageQuestion, *, is_on: bool) -> list[tuple[str, str, bool]]:
    """What features can be set against."""
    chosen = question.parameters.get("compare", "") if is_on else ""
    words = (("", "Nothing"), ("previous", "The period before"), ("year_ago", "A year ago"))
    return [(label, question.href("", compare=name or None), chosen == name) for name, label in words]


def reading_of(answer: Mapping[str, Any], code: str) -> str:
    """What stands out, of the answer's own numbers only."""
    told = []
    rows = [row for row in answer["features"] if row["feature"] != OTHER and row["share"] is not None]
    if rows:
        most = max(rows, key=lambda row: row["users"])
        told.append(
            f"“{key_shown(most['feature'])}” is used by most: {most['users']:,} people, {share(most['share'])} of all."
        )
        if most["revenue_per_user"] is not None and most["revenue_per_other"] is not None:
            mine, others = amount(most["revenue_per_user"], code), amount(most["revenue_per_other"], code)
            told.append(f"Its users bring {mine} each, others {others}; that need not be for its use.")
    posts = [row for row in answer["posts"]["results"] if row["linear"] is not None and row["kind"] != OTHER]
    if posts:
        best = max(posts, key=lambda row: Decimal(row["linear"]["revenue"]))
        told.append(
            f"Of posts “{key_shown(best['id'])}” was followed by most: {amount(best['linear']['revenue'], code)}."
        )
    if mark := answer.get("daily_visitors"):
        told.append(DailyVisitors.read(mark).told_of("active people"))
    return " ".join(told)


def _feature(row: Mapping[str, Any], code: str) -> dict[str, Any]:
    is_hidden = row["revenue_per_user"] is None
    again = HIDDEN if is_hidden else f"{share(row['again_share'])}" if row["settled"] else shown.UNKNOWN
    return {
        "name": key_shown(row["feature"]),
        "is_other": row["feature"] == OTHER,
        "users": count(row["users"]),
        "share": share(row["share"]),
        "bar": f"{(row['share'] or 0) * 100:.2f}",
        "uses": count(row["uses"]),
        "each": f"{row['uses_per_user']:,.1f}",
        "again": again,
        "again_words": "" if is_hidden else _again(row),
        "per_user": HIDDEN if is_hidden else amount(row["revenue_per_user"], code),
        "per_other": "" if is_hidden else amount(row["revenue_per_other"], code),
        "revenue": linked(row["with_revenue"]),
        "paying": linked(row["with_paying"]),
    }


def _again(row: Mapping[str, Any]) -> str:
    if not row["settled"]:
        return "nobody's seven days are over"
    told = f"{row['again']:,} of {row['settled']:,}"
    return f"{told}, after {row['days_between']:g} days in the middle" if row["days_between"] is not None else told


def linked(found: Mapping[str, Any]) -> Linked:
    """A coefficient with what may be made of it."""
    value, low, high = found["value"], found["low"], found["high"]
    if value is None:
        return Linked(shown.UNKNOWN, found["note"])
    width = abs(value) * 50
    bar = (f"{50 - width if value < 0 else 50:.1f}", f"{width:.1f}")
    number = f"{value:+.2f}".replace("-", "−")
    if low is None:
        return Linked(number, found["note"], *bar)
    interval = f"{low:+.2f} to {high:+.2f}".replace("-", "−")
    is_clear = Interval(low, high).is_clear
    words = f"{interval}: {_strength(value) if is_clear else 'may as well be none'}"
    return Linked(number, f"{words}; {found['note']}" if found["note"] else words, *bar, "" if is_clear else "flat")


def _strength(value: float) -> str:
    """Cohen's (1988) limits."""
    size = abs(value)
    word = "strong" if size >= 0.5 else "medium" if size >= 0.3 else "weak" if size >= 0.1 else "very weak"
    return f"{word}, {'together' if value > 0 else 'opposed'}"


def _platform(row: Mapping[str, Any], code: str) -> dict[str, Any]:
    return {
        "name": row["platform"],
        "users": count(row["users"]),
        "engagement": count(row["engagement"]),
        "revenue": amount(row["revenue"], code),
    }


def _shared(row: Mapping[str, Any]) -> dict[str, Any]:
    both = row["both"]
    return {
        "first": row["first"],
        "second": row["second"],
        "both": HIDDEN if both is None else count(both),
        "of_first": "" if both is None else share(row["share_of_first"]),
        "of_second": "" if both is None else share(row["share_of_second"]),
    }


def _together(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "first": row["first"],
        "second": row["second"],
        "measures": f"{row['first_measure']} with {row['second_measure']}",
        "pearson": linked(row["pearson"]),
        "spearman": linked(row["spearman"]),
        "lag": _lag(row) if row["lagged"]["value"] is not None else shown.UNKNOWN,
        "lagged": linked(row["lagged"]),
        "n": count(row["pearson"]["n"]),
    }


def _lag(row: Mapping[str, Any]) -> str:
    days = abs(row["lag"])
    if not days:
        return "the same day"
    return f"{row['first'] if row['lag'] > 0 else row['second']} {days} day{'s' if days > 1 else ''} ahead"


def _automation(found: Mapping[str, Any]) -> dict[str, Any]:
    def told(row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "name": key_shown(row.get("automation", "")),
            "hours": shown.UNKNOWN if row["hours_saved"] is None else f"{float(row['hours_saved']):,.1f} h",
            "efficiency": share(row["efficiency"]),
            "bar": f"{float(row['efficiency'] or 0) * 100:.1f}",
            "runs": count(row["runs"]),
            "failed": count(row["failed"]),
        }

    return {**told(found), "rows": [told(row) for row in found["by_automation"]]}


def _post(row: Mapping[str, Any], code: str, tenant: TenantInfo) -> dict[str, Any]:
    linear, last = row["linear"], row["last"]
    at = row["published_at"]
    return {
        "name": key_shown(row["id"]),
        "kind": f"{row['posts']:,} more" if row["kind"] == OTHER else row["kind"],
        "platform": row["platform"],
        "at": shown.moment_shown(datetime.fromisoformat(at), calendar_of(tenant)) if at else "",
        "reach": HIDDEN if row["reach"] is None else count(row["reach"]),
        "engagements": count(row["engagements"]),
        "converted": HIDDEN if row["converted"] is None else count(row["converted"]),
        "linear": HIDDEN if linear is None else amount(linear["revenue"], code),
        "last": "" if last is None else amount(last["revenue"], code),
        "cost": amount(row["cost"], code),
        "return": "" if row["return_on_cost"] is None else f"{row['return_on_cost']:,.1f} for 1 spent",
        "against": [_against(what, row["against"].get(what)) for what in COMPARED],
        "is_open": row["is_open"],
    }


def _against(what: str, times: float | None) -> tuple[str, str]:
    return what, shown.UNKNOWN if times is None else f"× {times:,.1f}"
