"""`/customers/`: the newest snapshot, who moved, what cohorts brought, how good the forecasts were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from analytics import jobs
from analytics.access.roles import Scope
from analytics.filters import calendar_of
from analytics.lake.errors import LakeError
from analytics.tenancy import tenant_context
from insights.contracts import LifetimeCurves, SnapshotView
from insights.customers.rfm import Segment
from insights.customers.services import segment_table, segment_table_set
from insights.jobs import SNAPSHOT
from insights.selectors import UNITS, NoSnapshot, lifetime_curves, snapshot_read, snapshots_list
from kpis.series import NoCalendar
from kpis.series.context import context_read
from reports.dashboard import shown
from reports.dashboard.cards import Action
from reports.dashboard.doors import scopes_of, tenant_of, tenant_page
from reports.explore.asking import actor_of, job_named, running_of
from reports.explore.drawing import Lines, lines_of
from reports.explore.frame import DASH, count, head_of, share
from reports.explore.to_board import keep_form
from reports.exports.tables import downloads

TITLE: Final = "Customers"
INTRO: Final = "Who buys, how lately, how often and for how much; what cohorts brought, and what may still come."
RULES: Final = {
    "quantile_edges": "fifths by quantile edges",
    "equal_fifths": "fifths of equal size",
    "fixed": "fixed edges, because there are too few customers for fifths",
}
MOST_ROWS: Final = 40
FEW_MONTHS: Final = timedelta(days=150)


@dataclass(frozen=True, slots=True)
class SegmentShown:
    """A row of the snapshot."""

    name: str
    size: str
    share: str
    width: str
    orders: str
    net: str
    net_share: str
    recency: str
    predicted: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """Who was in a segment before, by where they are now."""

    name: str
    cells: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CohortShown:
    """A cohort by age."""

    label: str
    size: str
    cells: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CurvesShown:
    """The curves as a drawing and as a table."""

    unit: str
    ages: range
    rows: tuple[CohortShown, ...]
    means: tuple[str, ...]
    drawing: Lines | None


@require_GET
@tenant_page()
def customers(request: HttpRequest) -> HttpResponse:
    """All of it; before the first snapshot the page says how one is taken."""
    tenant = tenant_of(request)
    days = snapshots_list(tenant_id=tenant.id)
    problem, snapshot = "", None
    try:
        snapshot = snapshot_read(
            tenant_id=tenant.id, taken_on=_day(request, "taken_on"), compare=_day(request, "compare")
        )
    except NoSnapshot as error:
        problem = str(error) if days else ""
    unit = request.GET.get("unit", "")
    unit = unit if unit in UNITS else _usual_unit(tenant.id, timezone.now())
    curves, away = _curves(request, unit)
    job = job_named(request, request.GET["job"], SNAPSHOT) if request.GET.get("job") else None
    context = {
        "head": head_of(tenant, TITLE, INTRO),
        "snapshot": snapshot,
        "customers": count(snapshot.customers) if snapshot else "",
        "taken_through": _through(request, snapshot),
        "segments": _segments(snapshot) if snapshot else (),
        "columns": _columns(snapshot) if snapshot else (),
        "matrix": _matrix(snapshot) if snapshot else (),
        "forecast": _forecast(snapshot) if snapshot else None,
        "calibration": _calibration(snapshot) if snapshot else None,
        "models": _models(snapshot) if snapshot else (),
        "rule": RULES.get(snapshot.rule, snapshot.rule.replace("_", " ")) if snapshot else "",
        "edges": [(name, ", ".join(f"{edge:g}" for edge in edges)) for name, edges in snapshot.edges.items()]
        if snapshot
        else (),
        "days": days[:60],
        "problem": problem,
        "curves": curves,
        "away": away,
        "units": [each.value for each in UNITS],
        "unit": unit,
        "job": running_of(job, request) if job else None,
        "job_note": (job.result or {}).get("note", "") if job else "",
        "job_here": request.get_full_path(),
        "may_edit": Scope.KPIS_WRITE in scopes_of(request),
        "files": _files(request, unit, snapshot),
        **keep_form(request, TITLE),
    }
    return render(request, "reports/explore/customers.html", context)


def _files(request: HttpRequest, unit: str, snapshot: SnapshotView | None) -> Mapping[str, tuple[Action, ...]]:
    """The menu of each table."""
    days = {name: request.GET.get(name, "") for name in ("taken_on", "compare")}
    told = {name: day for name, day in days.items() if day and snapshot is not None}
    query = f"?{urlencode(told)}" if told else ""
    return {
        "segments": downloads("customers-segments", f"/api/v1/customers/segments/{query}", **told),
        "moves": downloads("customers-moves", f"/api/v1/customers/segments/{query}", **told),
        "lifetime": downloads("customers-lifetime", f"/api/v1/customers/lifetime/?unit={unit}", unit=unit),
    }


@require_POST
@tenant_page(Scope.KPIS_WRITE)
def snapshot_now(request: HttpRequest) -> HttpResponse:
    """Take one as a job; the page watches it."""
    job = jobs.enqueue(
        kind=SNAPSHOT,
        tenant_id=tenant_of(request).id,
        params={},
        dedupe_key="asked on the page",
        created_by=actor_of(request),
    )
    return redirect(f"/customers/?job={job.pk}")


@tenant_page()
def table(request: HttpRequest) -> HttpResponse:
    """The table of score ranges that names the segments; saving it tells in the next snapshot."""
    tenant, may_edit = tenant_of(request), Scope.KPIS_WRITE in scopes_of(request)
    problem, rows = "", None
    if request.method == "POST" and may_edit:
        rows = _rows_sent(request.POST)
        try:
            wanted = () if request.POST.get("do") == "reset" else tuple(_segment(row) for row in rows if row["name"])
            segment_table_set(tenant_id=tenant.id, table=wanted)
        except ValueError as error:
            problem = f"{str(error)[:1].upper()}{str(error)[1:]}."
        else:
            messages.success(request, "Saved. The next snapshot is named by it.")
            return redirect("dashboard:customer-table")
    shown_rows = rows if rows is not None else [_row(each) for each in segment_table(tenant_id=tenant.id)]
    context = {
        "head": head_of(tenant, "Table of segments", "Scores run from 1 to 5; the first row whose ranges hold wins."),
        "rows": [*shown_rows, *[_blank()] * 3] if may_edit else shown_rows,
        "problem": problem,
        "may_edit": may_edit,
        "scores": range(1, 6),
    }
    return render(request, "reports/explore/customer_table.html", context, status=400 if problem else 200)


PARTS: Final = ("recency", "frequency", "monetary")


def _rows_sent(form: Any) -> list[dict[str, Any]]:
    names = form.getlist("name")[:MOST_ROWS]
    columns = {f"{part}_{side}": form.getlist(f"{part}_{side}") for part in PARTS for side in ("low", "high")}
    return [
        {"name": name.strip()[:100], **{key: _at(values, place) for key, values in columns.items()}}
        for place, name in enumerate(names)
    ]


def _at(values: list[str], place: int) -> int:
    text = values[place] if place < len(values) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 0


def _segment(row: Mapping[str, Any]) -> Segment:
    ranges = [(row[f"{part}_low"], row[f"{part}_high"]) for part in PARTS]
    if any(not 1 <= low <= high <= 5 for low, high in ranges):
        raise ValueError(f"{row['name']}: scores run from 1 to 5, the lower one first")
    return Segment(row["name"], *ranges)


def _row(segment: Segment) -> dict[str, Any]:
    ranges = zip(PARTS, (segment.recency, segment.frequency, segment.monetary), strict=True)
    return {"name": segment.name, **{f"{part}_{side}": edge for part, pair in ranges for side, edge in
                                     zip(("low", "high"), pair, strict=True)}}  # fmt: skip


def _blank() -> dict[str, Any]:
    return {"name": "", **{f"{part}_low": 1 for part in PARTS}, **{f"{part}_high": 5 for part in PARTS}}


# --- Written out ------------------------------------------------------------------------------------------------------


def _day(request: HttpRequest, name: str) -> date | None:
    try:
        return date.fromisoformat(request.GET[name]) if request.GET.get(name) else None
    except ValueError:
        messages.warning(request, f"{name.replace('_', ' ').capitalize()} is a date such as 2026-10-31.")
        return None


def _through(request: HttpRequest, snapshot: SnapshotView | None) -> str:
    return shown.moment_shown(snapshot.stamp.data_through, calendar_of(tenant_of(request))) if snapshot else ""


def _money(minor: Any, currency: str) -> str:
    return DASH if minor is None else shown.minor_shown(round(float(minor)), currency)


def _segments(snapshot: SnapshotView) -> tuple[SegmentShown, ...]:
    code = snapshot.currency
    most = max((segment.share for segment in snapshot.segments), default=0) or 1
    return tuple(
        SegmentShown(
            each.name,
            count(each.size),
            share(each.share),
            f"{each.share / most * 100:.1f}",
            count(each.orders),
            _money(each.net, code),
            share(each.net_share),
            DASH if each.recency_days is None else f"{each.recency_days:.0f} days",
            _money(each.predicted, code),
        )
        for each in snapshot.segments
    )


def _columns(snapshot: SnapshotView) -> tuple[str, ...]:
    return (*(segment.name for segment in snapshot.segments), "")


def _matrix(snapshot: SnapshotView) -> tuple[MatrixRow, ...]:
    """From, down; to, across. '' is nobody's customer then, or no more."""
    if snapshot.compared_with is None:
        return ()
    names = _columns(snapshot)
    old = [*names[:-1], *sorted({before for before, _ in snapshot.moves} - set(names)), ""]
    rows = []
    for before in old:
        people = [snapshot.moves.get((before, after), 0) for after in names]
        whole = sum(people)
        if whole:
            rows.append(
                MatrixRow(
                    before or "Not yet a customer", tuple((f"{n:,}" if n else "", heat(n / whole)) for n in people)
                )
            )
    return tuple(rows)


def heat(value: float | None) -> int:
    """0 to 10, for the class of a cell."""
    return 0 if not value else max(1, min(10, round(value * 10)))


def _forecast(snapshot: SnapshotView) -> Mapping[str, str] | None:
    found: Any = snapshot.prediction
    if not found:
        return None
    money = {name: _money(found.get(name), snapshot.currency) for name in ("value", "low", "high")}
    return {**money, "days": str(found.get("days", 90)), "level": share(found.get("level", 0.8), 0)}


def _calibration(snapshot: SnapshotView) -> Mapping[str, Any] | None:
    """Forecast against what came, by tenth of the forecast; honest about how many fell into their interval."""
    found: Any = snapshot.calibration
    if not found:
        return None
    code = snapshot.currency
    most = max((max(part["predicted"], part["actual"]) for part in found["deciles"]), default=0) or 1
    rows = [
        {
            "number": place,
            "customers": count(part["customers"]),
            "predicted": _money(part["predicted"], code),
            "actual": _money(part["actual"], code),
            "predicted_width": f"{max(part['predicted'], 0) / most * 100:.1f}",
            "actual_width": f"{max(part['actual'], 0) / most * 100:.1f}",
            "ratio": DASH if not part["predicted"] else share(part["actual"] / part["predicted"], 0),
        }
        for place, part in enumerate(found["deciles"], start=1)
    ]
    inside = found["low"] <= found["actual"] <= found["high"]
    return {
        "rows": rows,
        "days": found["days"],
        "customers": count(found["customers"]),
        "predicted": _money(found["predicted"], code),
        "actual": _money(found["actual"], code),
        "low": _money(found["low"], code),
        "high": _money(found["high"], code),
        "level": share(found["level"], 0),
        "inside": share(found["inside_share"], 0),
        "verdict": "inside the interval" if inside else "outside the interval: trust the forecast less than it says",
    }


def _models(snapshot: SnapshotView) -> tuple[tuple[str, str], ...]:
    found: Any = snapshot.models or {}
    return tuple(
        (
            {"purchases": "Purchases (BG/NBD)", "spending": "Spending (Gamma-Gamma)"}.get(name, name),
            ", ".join(f"{key} {value:.4g}" for key, value in model.items() if isinstance(value, int | float)),
        )
        for name, model in found.items()
        if model
    )


def _usual_unit(tenant_id: int, now: datetime) -> str:
    """By month; by week while there are few months to set beside each other."""
    try:
        with tenant_context(tenant_id):
            first = context_read(tenant_id=tenant_id, now=now).first_day
    except NoCalendar:
        return "month"
    return "week" if first is not None and now - first < FEW_MONTHS else "month"


def _curves(request: HttpRequest, unit: str) -> tuple[CurvesShown | None, str]:
    try:
        found = lifetime_curves(tenant_id=tenant_of(request).id, unit=unit, units=12, now=timezone.now())
    except LakeError as error:
        return None, str(error)
    except NoCalendar:
        return None, ""
    return (_curves_shown(found), "") if found.cohorts else (None, "")


def _curves_shown(found: LifetimeCurves) -> CurvesShown:
    most = max((each or 0 for cohort in found.cohorts for each in cohort.net_each), default=0) or 1
    ages = range(_known_ages(found))
    rows = tuple(
        CohortShown(
            f"{cohort.start:%-d %b %Y}" if found.unit == "week" else f"{cohort.start:%b %Y}",
            count(cohort.size),
            tuple(
                ("", 0) if each is None else (_money(each, found.currency), heat(each / most))
                for each in cohort.net_each[: len(ages)]
            ),
        )
        for cohort in found.cohorts
    )
    curves = [(row.label, cohort.net_each[: len(ages)]) for row, cohort in zip(rows, found.cohorts, strict=True)]
    drawn = [curve for curve in curves if any(each is not None for each in curve[1])][-6:]
    drawn.append(("Mean of all", found.means[: len(ages)]))
    means = tuple(_money(mean, found.currency) for mean in found.means[: len(ages)])
    drawing = lines_of(drawn, [f"{age}" for age in ages], top=_money(most, found.currency))
    return CurvesShown(found.unit, ages, rows, means, drawing)


def _known_ages(found: LifetimeCurves) -> int:
    """Up to the last age of which anything is known."""
    ages = (age for cohort in found.cohorts for age, each in enumerate(cohort.net_each) if each is not None)
    return max(ages, default=-1) + 1
